"""Learning-rate factors of transformers' schedules, for schedule_test.cpp.

How it is run: python make_schedules.py > schedules.json   (needs torch and transformers)
"""
import json

import torch
from transformers import optimization


def factors(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    result = []
    for _ in range(steps):
        result.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return result


cases = []


def case(make, steps, **keys):
    cases.append({"keys": keys, "steps": steps, "factors": factors(make, steps)})


for steps, warmup, amount in [(8, 0, 0), (23, 3, 3), (23, 3, 0.1), (50, 5, 0.1)]:
    case(lambda o: optimization.get_linear_schedule_with_warmup(o, warmup, steps), steps, name="linear", warmup=amount)
    case(lambda o: optimization.get_cosine_schedule_with_warmup(o, warmup, steps), steps, name="cosine", warmup=amount)
    case(lambda o: optimization.get_cosine_with_min_lr_schedule_with_warmup(o, warmup, steps, min_lr_rate=0.1), steps,
         name="cosine", warmup=amount, final=0.1)
    case(lambda o: optimization.get_constant_schedule_with_warmup(o, warmup), steps, name="constant", warmup=amount)
    case(lambda o: optimization.get_inverse_sqrt_schedule(o, warmup), steps, name="inverse_sqrt", warmup=amount)
    case(lambda o: optimization.get_wsd_schedule(o, warmup, 4, num_training_steps=steps, min_lr_ratio=0.05), steps,
         name="wsd", warmup=amount, decay=4, final=0.05)
print("[" + ",\n".join(json.dumps(c) for c in cases) + "]")
