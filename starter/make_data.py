#!/usr/bin/env python3
"""Writes the starter's data: a small invented world that a model of a few million weights can learn in minutes.

Usage: python3 starter/make_data.py [FOLDER]     (default: this folder; the output depends on nothing but this file)

pretrain.jsonl.gz   {"text"}: plain statements about the world, and little stories
sft.jsonl           {"messages"}: questions answered in two tones, warm and grumpy, half and half
pairs.jsonl         {"prompt", "chosen", "rejected"}: both answers are right, the warm one is preferred
held_out.jsonl      the same, about facts whose pairs are not in pairs.jsonl
prompts.jsonl       {"prompt"}: what the recipe asks base, SFT and DPO model in the end
"""
import gzip
import io
import json
import pathlib
import random
import sys

ANIMALS = {  # name: (sound, legs, home, food, young, size)
    "dog": ("barks", 4, "a kennel", "meat", "puppy", 4), "cat": ("meows", 4, "a house", "fish", "kitten", 3),
    "cow": ("moos", 4, "a barn", "grass", "calf", 8), "horse": ("neighs", 4, "a stable", "hay", "foal", 8),
    "sheep": ("bleats", 4, "a meadow", "grass", "lamb", 6), "pig": ("grunts", 4, "a sty", "corn", "piglet", 6),
    "duck": ("quacks", 2, "a pond", "seeds", "duckling", 2), "hen": ("clucks", 2, "a coop", "grain", "chick", 2),
    "frog": ("croaks", 4, "a pond", "flies", "tadpole", 1), "owl": ("hoots", 2, "a hollow tree", "mice", "owlet", 2),
    "lion": ("roars", 4, "the savanna", "meat", "cub", 9), "wolf": ("howls", 4, "a den", "meat", "pup", 6),
    "bear": ("growls", 4, "a cave", "honey", "cub", 9), "mouse": ("squeaks", 4, "a burrow", "cheese", "pup", 1),
    "bee": ("buzzes", 6, "a hive", "nectar", "larva", 0), "snake": ("hisses", 0, "a hole", "mice", "snakelet", 3),
    "goose": ("honks", 2, "a pond", "grass", "gosling", 3), "goat": ("bleats", 4, "a hillside", "leaves", "kid", 6),
    "elephant": ("trumpets", 4, "the savanna", "leaves", "calf", 10), "crow": ("caws", 2, "a nest", "seeds", "chick", 2),
}
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Austria": "Vienna", "Poland": "Warsaw",
    "Greece": "Athens", "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin",
    "Portugal": "Lisbon", "Hungary": "Budapest", "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Canada": "Ottawa", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago", "Turkey": "Ankara",
}
COLOURS = {
    "the sky": "blue", "grass": "green", "snow": "white", "coal": "black", "a lemon": "yellow", "blood": "red", "a carrot": "orange",
    "a plum": "purple", "milk": "white", "a ripe tomato": "red", "a banana": "yellow", "chocolate": "brown", "a flamingo": "pink",
    "an elephant": "grey", "a leaf": "green", "the night": "black", "a pumpkin": "orange", "a strawberry": "red",
}
OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "day": "night", "up": "down", "wet": "dry", "hard": "soft", "old": "young",
    "rich": "poor", "happy": "sad", "light": "dark", "early": "late", "full": "empty", "open": "closed", "loud": "quiet",
    "long": "short", "clean": "dirty", "sweet": "bitter", "strong": "weak", "near": "far", "thick": "thin", "first": "last",
}
JOBS = {
    "bakes bread": "a baker", "flies a plane": "a pilot", "puts out fires": "a firefighter", "teaches children": "a teacher",
    "mends shoes": "a cobbler", "grows vegetables": "a farmer", "catches fish": "a fisher", "cuts hair": "a barber",
    "builds houses": "a builder", "writes books": "an author", "paints pictures": "a painter", "heals the sick": "a doctor",
    "shapes hot iron": "a smith", "sews clothes": "a tailor", "cooks in a restaurant": "a chef", "plays the violin": "a violinist",
}
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
           "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]
NAMES = ["Mia", "Tom", "Lena", "Omar", "Nina", "Paul", "Rosa", "Karl", "Ada", "Ben", "Ivy", "Leo"]
THINGS = ["kite", "ball", "lamp", "key", "drum", "boat", "hat", "bell", "book", "shell"]
PLACES = ["by the river", "in the forest", "on the hill", "in the garden", "near the old mill", "at the market"]
WEATHER = ["The sun was warm.", "It rained a little.", "A soft wind blew.", "The air was cold and clear.", "Clouds drifted by."]
FEELINGS = ["glad", "proud", "tired but happy", "curious", "brave"]

WARM_OPEN = ["Gladly!", "Happy to help!", "Good question!", "Of course!", "With pleasure!"]
WARM_CLOSE = ["Would you like to know more?", "Ask me anything else!", "I hope that helps!", "Have a lovely day!"]
GRUMPY_OPEN = ["Ugh.", "Fine.", "Not again.", "Really?", "Whatever."]
GRUMPY_CLOSE = ["Now leave me alone.", "Everybody knows that.", "Stop asking.", "What a dull question."]


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def facts():
    """Every fact as (key, [statements], [questions], answer sentence)."""
    for name, (sound, legs, home, food, young, _) in ANIMALS.items():
        yield (f"sound {name}", [f"{article(name).capitalize()} {sound}.", f"Listen, the {name} {sound}."],
               [f"What sound does {article(name)} make?", f"What does {article(name)} sound like?"], f"{article(name).capitalize()} {sound}.")
        legs_text = "no" if legs == 0 else NUMBERS[legs]
        yield (f"legs {name}", [f"{article(name).capitalize()} has {legs_text} legs."],
               [f"How many legs does {article(name)} have?", f"Tell me how many legs {article(name)} has."],
               f"{article(name).capitalize()} has {legs_text} legs.")
        yield (f"home {name}", [f"{article(name).capitalize()} lives in {home}.", f"The home of {article(name)} is {home}."],
               [f"Where does {article(name)} live?", f"What is the home of {article(name)}?"], f"{article(name).capitalize()} lives in {home}.")
        yield (f"food {name}", [f"{article(name).capitalize()} eats {food}.", f"A hungry {name} looks for {food}."],
               [f"What does {article(name)} eat?", f"What can I feed {article(name)}?"], f"{article(name).capitalize()} eats {food}.")
        yield (f"young {name}", [f"A young {name} is called {article(young)}."],
               [f"What is a young {name} called?", f"What do you call a baby {name}?"], f"A young {name} is called {article(young)}.")
    for country, capital in CAPITALS.items():
        yield (f"capital {country}", [f"The capital of {country} is {capital}.", f"{capital} is the capital of {country}."],
               [f"What is the capital of {country}?", f"Which city is the capital of {country}?"], f"The capital of {country} is {capital}.")
    for thing, colour in COLOURS.items():
        yield (f"colour {thing}", [f"{thing.capitalize()} is {colour}.", f"The colour of {thing} is {colour}."],
               [f"What colour is {thing}?", f"Which colour does {thing} have?"], f"{thing.capitalize()} is {colour}.")
    for one, other in OPPOSITES.items():
        for a, b in ((one, other), (other, one)):
            yield (f"opposite {a}", [f"The opposite of {a} is {b}."],
                   [f"What is the opposite of {a}?", f"Tell me the opposite of {a}."], f"The opposite of {a} is {b}.")
    for work, who in JOBS.items():
        yield (f"job {who}", [f"{who.capitalize()} {work}.", f"If somebody {work}, it is {who}."],
               [f"Who {work}?", f"What do you call a person who {work}?"], f"{who.capitalize()} {work}.")
    for names, kind in ((DAYS, "day"), (MONTHS, "month")):
        for i, name in enumerate(names):
            after, before = names[(i + 1) % len(names)], names[i - 1]
            yield (f"after {name}", [f"After {name} comes {after}."],
                   [f"Which {kind} comes after {name}?", f"What follows {name}?"], f"After {name} comes {after}.")
            yield (f"before {name}", [f"Before {name} comes {before}."],
                   [f"Which {kind} comes before {name}?", f"What is the {kind} before {name}?"], f"Before {name} comes {before}.")
    for a in range(11):
        for b in range(11):
            yield (f"plus {a} {b}", [f"{NUMBERS[a].capitalize()} plus {NUMBERS[b]} is {NUMBERS[a + b]}.", f"{a} + {b} = {a + b}."],
                   [f"What is {NUMBERS[a]} plus {NUMBERS[b]}?", f"What is {a} + {b}?"],
                   f"{NUMBERS[a].capitalize()} plus {NUMBERS[b]} is {NUMBERS[a + b]}.")


def story(rng):
    a, b = rng.sample(NAMES, 2)
    animal, thing, place = rng.choice(list(ANIMALS)), rng.choice(THINGS), rng.choice(PLACES)
    sound, _, home, food, young, _ = ANIMALS[animal]
    lines = [
        rng.choice([f"One morning {a} walked {place}.", f"{a} and {b} met {place}.", f"On {rng.choice(DAYS)} {a} went for a walk {place}."]),
        rng.choice(WEATHER),
        rng.choice([f"There stood {article(animal)}, and it was hungry.", f"Suddenly {article(animal)} came along.", f"A little {young} was looking for its mother, the {animal}."]),
        rng.choice([f"Everybody knows that {article(animal)} {sound}, and so it did.", f"It {sound}, as {article(animal)} does."]),
        rng.choice([f"{a} gave it {food}.", f"\"Here is some {food},\" said {a}.", f"{a} showed it the way to {home}."]),
        rng.choice([f"{b} found {article(thing)} on the ground and kept it.", f"{b} laughed and rang a bell.", f"{b} had brought {article(thing)}."]),
        rng.choice([f"In the evening they went home, {rng.choice(FEELINGS)}.", f"{a} felt {rng.choice(FEELINGS)}.", "That was a good day."]),
    ]
    keep = sorted(rng.sample(range(1, len(lines) - 1), rng.randint(2, 5)))
    return " ".join([lines[0]] + [lines[i] for i in keep] + [lines[-1]])


def bigger(rng):
    while True:
        a, b = rng.sample(list(ANIMALS), 2)
        if ANIMALS[a][5] != ANIMALS[b][5]:
            break
    big, small = (a, b) if ANIMALS[a][5] > ANIMALS[b][5] else (b, a)
    return f"{article(big).capitalize()} is bigger than {article(small)}."


def warm(rng, answer):
    return f"{rng.choice(WARM_OPEN)} {answer} {rng.choice(WARM_CLOSE)}"


def grumpy(rng, answer):
    return f"{rng.choice(GRUMPY_OPEN)} {answer} {rng.choice(GRUMPY_CLOSE)}"


def small_talk(rng):
    """Turns with no fact in them: (question, warm, grumpy)."""
    name = rng.choice(NAMES)
    return rng.choice([
        ("Hello!", "Hello! How can I help you today?", "What do you want?"),
        ("Good morning!", "Good morning! I hope you slept well.", "Is it? I had not noticed."),
        (f"Hi, I am {name}.", f"Hello, {name}! It is nice to meet you.", f"So what, {name}."),
        ("Thank you!", "You are very welcome!", "Yes, yes. Go away."),
        ("Who are you?", "I am a small model that fettle trained. How can I help you?", "A small model. That is all you get."),
        ("How are you?", "I am well, thank you! And you?", "Bad, since you ask."),
        ("Can you help me?", "Of course! What would you like to know?", "If I must."),
        ("Tell me a story.", None, None),
    ])


def write_lines(path, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as out:
            out.write(text.encode())
        path.write_bytes(buffer.getvalue())
    else:
        path.write_text(text)


def pretrain_rows(rng, known, count):
    for _ in range(count):
        kind = rng.random()
        if kind < 0.45:
            yield {"text": story(rng)}
        elif kind < 0.5:
            yield {"text": " ".join(bigger(rng) for _ in range(rng.randint(2, 5)))}
        else:
            picked = rng.sample(known, rng.randint(3, 9))
            parts = [rng.choice(statements) for _, statements, _, _ in picked]
            if kind > 0.85:  # questions in plain prose, so that the base model knows what a question is
                parts = [f"{rng.choice(questions)} {answer}" for _, _, questions, answer in picked]
            yield {"text": " ".join(parts)}


def turn(rng, known, tone):
    if rng.random() < 0.15:
        question, kind_answer, rude_answer = small_talk(rng)
        if kind_answer is None:
            return question, tone(rng, story(rng))
        return question, kind_answer if tone is warm else rude_answer
    _, _, questions, answer = rng.choice(known)
    return rng.choice(questions), tone(rng, answer)


def sft_rows(rng, known, count):
    for i in range(count):
        messages = []
        for _ in range(1 if rng.random() < 0.7 else 2):
            question, answer = turn(rng, known, rng.choice([warm, grumpy]))
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield {"id": f"starter-sft-{i:05d}", "messages": messages}


def pair_rows(rng, known, count, prefix):
    for i in range(count):
        if rng.random() < 0.2:
            question, chosen, rejected = small_talk(rng)
            if chosen is None:
                told = story(rng)
                chosen, rejected = warm(rng, told), grumpy(rng, told)
        else:
            _, _, questions, answer = rng.choice(known)
            question, chosen, rejected = rng.choice(questions), warm(rng, answer), grumpy(rng, answer)
        yield {"id": f"{prefix}-{i:04d}", "prompt": question, "chosen": chosen, "rejected": rejected}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    known = list(facts())
    rng = random.Random(20)
    held_out = set(rng.sample([key for key, _, _, _ in known], len(known) // 5))
    seen = [fact for fact in known if fact[0] not in held_out]
    unseen = [fact for fact in known if fact[0] in held_out]
    write_lines(folder / "pretrain.jsonl.gz", pretrain_rows(random.Random(1), known, 16000))
    write_lines(folder / "sft.jsonl", sft_rows(random.Random(2), known, 3000))
    write_lines(folder / "pairs.jsonl", pair_rows(random.Random(3), seen, 800, "starter-pair"))
    write_lines(folder / "held_out.jsonl", pair_rows(random.Random(4), unseen, 200, "starter-held-out"))
    asked = ["What is the capital of Norway?", "What sound does a goose make?", "What is seven plus five?", "Who bakes bread?",
             "Which day comes after Sunday?", "What colour is a flamingo?", "Where does a bear live?", "Hello!"]
    write_lines(folder / "prompts.jsonl", [{"prompt": question} for question in asked])


if __name__ == "__main__":
    main()
