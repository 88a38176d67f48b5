"""Small templates for make_templates.py: expressions, statements, white space. A row whose reference raises must raise."""

VARIABLES = {
    "text": "Hello, World",
    "blank": "  \t pad\u00a0\n",
    "uni": "Straße ñandú ΣΑΣ 日本 🦊",
    "empty": "",
    "n": 7,
    "neg": -3,
    "pi": 3.14159,
    "yes": True,
    "no": False,
    "nothing": None,
    "numbers": [3, 1, 2, 10],
    "words": ["pear", "Apple", "fig", "apple"],
    "pairs": {"b": 2, "a": 1, "C": 3},
    "people": [
        {"name": "Ann", "age": 31, "city": {"zip": "1"}},
        {"name": "bob", "age": 25, "city": {"zip": "2"}, "admin": True},
        {"name": "Cy", "age": 31, "city": {"zip": "1"}, "admin": False},
    ],
    "nested": {"list": [1, [2, 3], {"k": "v"}], "items": "shadowed", "quote": "it's \"q\"", "bell": "\u0007\u001f\u007f"},
    "lines": "one\ntwo\r\n\nthree",
}

_EXPRESSIONS = r"""
text
nothing
yes
no
n
pi
numbers
words
pairs
nested
people
missing
missing.attribute
missing['x']
missing + 'x'
'x' + missing
missing ~ 'x'
missing | length
missing | list
missing | default('d')
empty | default('d')
empty | default('d', true)
nothing | default('d')
nothing | default('d', boolean=True)
missing is defined
text is defined
text is undefined
nothing is none
text is string
n is string
n is number
yes is number
yes is boolean
n is integer
pi is float
yes is integer
pairs is mapping
numbers is mapping
numbers is sequence
text is sequence
pairs is sequence
n is sequence
missing is sequence
numbers is iterable
n is iterable
text is iterable
nothing is iterable
n is odd
n is even
n is divisibleby 7
n is divisibleby(2)
text is lower
'abc' is lower
'ABC' is upper
n is eq 7
n is equalto(7)
n is ne 8
n is gt 3
n is lessthan 3
n is sameas 7
yes is true
no is false
yes is sameas true
3 is in numbers
3 is not in numbers
n is not none
'upper' is filter
'nope' is filter
'odd' is test
text is callable
range is callable
1 + 2 * 3
(1 + 2) * 3
2 ** 10
2 ** 3 ** 2
-2 ** 2
2 ** -1
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
7 / 2
6 / 2
1 / 0
1 // 0
1 % 0
1e3
1e16
1e15
1.0
0.1 + 0.2
1e-5
1e100
0.0001
123456789.123
1_000
0x1f
0b101
0o17
+5
-neg
-'x'
1 + 'x'
'x' + 1
'x' * 3
3 * 'ab'
'x' * -1
[1] * 2
[1] + [2, 3]
(1,) + (2,)
[1] + (2,)
1 + true
'a' ~ 1 ~ none ~ true ~ 1.5
'a' 'b' "c"
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1 == 1
1 == 1.0
true == 1
'a' == 'a'
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1}
none == false
missing == missing
missing == none
'ell' in text
'xyz' not in text
1 in 'abc'
'a' in pairs
2 in pairs.values()
'x' in missing
3 in numbers
3 not in numbers
not yes
not not yes
not missing
yes and 'second'
no and 'second'
no or 'second'
empty or nothing or 'last'
'y' if yes else 'n'
'y' if no else 'n'
'y' if no
'y' if no else 'm' if no else 'n'
('y' if no) is defined
text[0]
text[-1]
text[100]
text[1:4]
text[:-3]
text[::-1]
text[::2]
text[5:2]
text[10:100]
text[-5:-2]
uni[3:7]
uni[-1]
uni | length
numbers[0]
numbers[-1]
numbers[9]
numbers[1:]
numbers[::-1]
numbers[:2]
numbers[3:0:-2]
numbers[::0]
numbers['a']
(1, 2, 3)[1:]
pairs.a
pairs['a']
pairs.zzz
pairs['zzz'] is defined
pairs.items()
pairs.keys() | list
pairs.values() | list
pairs.get('a')
pairs.get('q')
pairs.get('q', 'fallback')
nested.items() | length
nested['items']
nested.list[1][0]
nested.list.2.k
nested.list[2].k
people[0].city.zip
people.0.name
pairs[1]
pairs.pop('a')
numbers.append(4)
text.upper()
text.lower()
text.title()
'they\'re bill\'s friends'.title()
"they're bill's friends" | title
'hello-world foo' | title
text.capitalize()
'hELLO wORLD' | capitalize
uni | upper
uni | lower
uni.title()
uni | capitalize
text.swapcase()
blank.strip() ~ '|'
blank.lstrip() ~ '|'
blank.rstrip() ~ '|'
blank | trim ~ '|'
'xxabcxx'.strip('x')
'xyabcyx'.lstrip('xy')
'xyabcyx'.rstrip('xy')
'xxabcxx' | trim('x')
text.split(',')
text.split(', ')[1]
'a  b c'.split()
'a  b c'.split(' ')
'a b c d'.split(' ', 2)
'a b c d'.split(maxsplit=1)
' a b c d '.rsplit(none, 1)
'a,b,c'.rsplit(',', 1)
'a,b'.split('')
''.split()
''.split(',')
lines.splitlines()
lines.splitlines(true)
text.startswith('Hell')
text.startswith(('x', 'H'))
text.startswith('ello', 1)
text.endswith('ld')
text.endswith('o', 0, 5)
text.find('o')
text.find('o', 5)
text.rfind('o')
text.find('zz')
text.index('zz')
text.count('l')
text.count('')
text.replace('l', 'L')
text.replace('l', 'L', 2)
'abc'.replace('', '-')
'aaa' | replace('a', 'b', 2)
5 | replace('5', 'six')
', '.join(words)
', '.join([1])
'{} {}'.format('a', 1)
'{0}{1}{0}'.format('a', 'b')
'{name!r:>10}|'.format(name='x')
'{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c')
'{:05d} {:+d} {:,} {:.2f} {:x} {:e}'.format(42, 5, 1234567, 3.14159, 255, 12345.678)
'{:*^9}'.format('mid')
'{{}} {}'.format(1)
'{0[a]} {1.name}'.format({'a': 5}, {'name': 'no'})
'{0[0]}'.format([8])
'{}'.format()
'{x}'.format(y=1)
'%s and %d' % ('a', 3)
'%s' % 'solo'
'%05.1f|%-6s|%6s|%+d' % (3.14159, 'ab', 'cd', 4)
'%(a)s-%(b)03d' % {'a': 'x', 'b': 7}
'%x %X %o %c %r %%' % (255, 255, 8, 'z', 'q')
'%s %s' % ('only',)
'%d' % 'x'
'%.3s|' % 'abcdef'
'%s' % [1, 'a']
'%5d|%-5d|%05d' % (42, 42, -42)
'%g %e' % (0.00001, 123.456)
'%s is %s' | format('a', 'b')
'%(x)s' | format(x=3)
text.isdigit()
'123'.isdigit()
'abc'.isalpha()
'ab1'.isalnum()
' '.isspace()
'AB'.isupper()
'ab'.islower()
'pre-x'.removeprefix('pre-')
'x-suf'.removesuffix('-suf')
'7'.zfill(3)
'-7'.zfill(4)
'a'.ljust(3) ~ '|'
'a'.rjust(3, '.') ~ '|'
'a'.center(4) ~ '|'
'abc'.center(6) ~ '|'
'k=v=w'.partition('=')
'k=v=w'.rpartition('=')
'none'.partition('=')
text | length
numbers | length
n | length
numbers | count
numbers | first
numbers | last
[] | first
[] | last is defined
text | first
text | last
numbers | join
numbers | join(', ')
people | join(', ', attribute='name')
[1, none, 'a', missing] | join('-')
text | list
pairs | list
numbers | sort
numbers | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
people | sort(attribute='age') | map(attribute='name') | list
people | sort(attribute='age,name', reverse=true) | map(attribute='name') | join(' ')
[1, 'a'] | sort
words | unique | list
words | unique(case_sensitive=true) | list
people | unique(attribute='age') | map(attribute='name') | list
numbers | min
numbers | max
words | max
[] | max
people | max(attribute='age')
numbers | sum
people | sum(attribute='age')
numbers | sum(start=100)
numbers | reverse | list
text | reverse
pairs | dictsort
pairs | dictsort(true)
pairs | dictsort(false, 'value')
pairs | dictsort(by='value', reverse=true)
pairs | items | list
missing | items | list
numbers | map('string') | list
words | map('upper') | join(' ')
words | map('replace', 'p', 'P') | list
people | map(attribute='city.zip') | list
people | map(attribute='admin', default='?') | list
people | map(attribute='admin') | list
numbers | map('nofilter') | list
numbers | map() | list
numbers | select | list
[0, 1, '', 'x'] | select | list
numbers | select('odd') | list
numbers | select('gt', 2) | list
numbers | select('in', [1, 2]) | list
numbers | reject('even') | list
[0, 1, none] | reject | list
people | selectattr('admin') | map(attribute='name') | list
people | selectattr('age', 'equalto', 31) | map(attribute='name') | list
people | selectattr('age', '<', 30) | map(attribute='name') | list
people | selectattr('city.zip', 'eq', '1') | list | length
people | rejectattr('admin') | map(attribute='name') | list
people | rejectattr('admin', 'defined') | map(attribute='name') | list
people | selectattr('age', 'nope') | list
numbers | select('odd') | length
(numbers | select('odd')) is iterable
(numbers | select('gt', 100)) is true
'yes' if (numbers | select('gt', 100)) else 'no'
numbers | batch(3) | list
numbers | batch(3, 'x') | list
numbers | slice(3) | list
people | groupby('age') | list | length
people | groupby('age') | map('first') | list
'42' | int
'4.7' | int
'x' | int
'x' | int(-1)
'0x1f' | int(base=16)
'ff' | int(0, 16)
' 12 ' | int
'1_000' | int
4.9 | int
-4.9 | int
none | int
none | int(5)
yes | int
'3.5' | float
'x' | float
'1e3' | float
3 | float
42.55 | round
42.55 | round(1)
42.55 | round(1, 'floor')
42.51 | round(0, 'ceil')
2.5 | round
3.5 | round
42 | round
1234 | round(-2)
2.675 | round(2)
'x' | round
neg | abs
-2.5 | abs
'x' | abs
n | string
n | string | length
[1, 'a'] | string
text | safe
'<a href="x">&\'' | escape
'<b>' | e
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent(2, first=true, blank=true)
lines | indent('> ')
'a\n' | indent(1) ~ '|'
'' | indent(1, true) ~ '|'
n | indent
'the quick brown fox' | truncate(9)
'the quick brown fox' | truncate(9, true)
'the quick brown fox' | truncate(16)
'the quick brown fox' | truncate(12, false, '..', 0)
'a b  c_d, e' | wordcount
'mid' | center(9) ~ '|'
pairs | attr('items') is callable
pairs | attr('a')
pairs | tojson
nested | tojson
people | tojson(indent=2)
pairs | tojson(indent=4)
[] | tojson(indent=2)
{} | tojson(indent=2)
[[], {}, [1]] | tojson(indent=1)
uni | tojson
uni | tojson(ensure_ascii=true)
[1, 2.0, none, true, 'x'] | tojson
(1, 2) | tojson
pairs | tojson(sort_keys=true)
pairs | tojson(separators=(',', ':'))
pairs | tojson(indent=2, separators=(',', ': '))
missing | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
1e16 | tojson
range(3) | tojson
range(5) | list
range(2, 8, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3)
range(1, 10, 2)
range(200000) | length
range(3)[1]
range(10) | sum
dict(a=1, b=2)
dict([('a', 1)])
dict({'x': 1}, y=2)
{'a': 1, 'a': 2}
{'a': {'b': [1, (2,), ()]}}
{[1]: 2}
()
(1)
(1,)
[1, 'two', 3.0, none, true]
["it's", 'say "hi"', 'both \' and "', '\n\t\\', 'é\u200b\u00a0\x07']
'\x41\u00e9\U0001F98A\101\q'
'tab\there'
"a\
b"
namespace(a=1).a
namespace(a=1).b is defined
namespace({'x': 2}).x
namespace(_x=1)
raise_exception('stop')
strftime_now('')
nofunction()
text()
text.nomethod()
text.nomethod
nothing.x
nothing.x is defined
n.x
numbers | nofilter
numbers is notest
1 if true else (2 | nofilter)
words | join(d=' + ')
text | replace(old='l', new='1')
text | upper | lower | title
-1 | abs
(-1) | abs
n | default(0) + 1
'a' in 'abc' and 'b' in 'abc'
not 'a' in 'abc'
text is string and n is number
text is not string or n is not number
'x' is in 'xyz'
numbers is not mapping
[1, 2, 3] | map('multiply', 2) | list
1 == 2 or 3
none is defined
true is defined
'a'|upper~'b'|lower
"%s" | format(numbers)
text.split(', ') | map('length') | list
text[numbers[1]:numbers[0]]
people | map(attribute='name') | map('lower') | sort | join
[people[0], people[2]] | map(attribute='age') | unique | list
{'role': 'user'}['role'] == 'user'
(text ~ '!') * 2
10 // 3 * 3 + 10 % 3
1 < 2 == true
9223372036854775807
'%s' % none
'' ~ [none, true] ~ {'k': none}
"\u0416".lower()
'ǆ' | title
'İ' | lower
'ﬁ' | upper
'ὈΔΥΣΣΕΎΣ' | lower
"a'b" | list
[nested.quote]
[nested.bell]
"""

_STATEMENTS = [
    "{% for x in numbers %}{{ loop.index }}:{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for x in numbers %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.length }}{{ loop.depth }} {% endfor %}",
    "{% for x in numbers %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in numbers %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}",
    "{% for x in [1] %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in [1, 2] %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in [1, 2] %}{% break %}{% else %}else{% endfor %}",
    "{% for x in numbers if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
    "{% for x in numbers if x > 99 %}{{ x }}{% else %}no{% endfor %}",
    "{% for k, v in pairs.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in pairs | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in pairs %}{{ k }}{% endfor %}",
    "{% for c in 'aé🦊' %}[{{ c }}]{% endfor %}",
    "{% for x in missing %}x{% else %}empty{% endfor %}",
    "{% for x in n %}x{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in numbers %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in numbers %}{% if x is odd %}{% continue %}{% endif %}{{ x }} {% endfor %}",
    "{% for x in [1, 2] %}{% for y in [3, 4] %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}|{% endfor %}",
    "{% for x in [1, 2, 3] %}{{ x }}{% set x = 9 %}{{ x }} {% endfor %}{{ x }}",
    "{% set y = 0 %}{% for x in [1, 2] %}{{ y }}{% set y = x %}{{ y }} {% endfor %}{{ y }}",
    "{% set ns = namespace(c=0) %}{% for x in numbers %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns['a'] }}{{ ns.b is defined }}",
    "{% set ns = namespace(done=false) %}{% for x in numbers if not ns.done %}{{ x }}{% if x == 1 %}{% set ns.done = true %}{% endif %}{% endfor %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set d = {} %}{% set d.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = [1] %}",
    "{% set t = 1, 2 %}{{ t }}",
    "{% set x %}block {{ n }} text{% endset %}{{ x | upper }}",
    "{% set x | upper | trim %} block {% endset %}[{{ x }}]",
    "{% set x %}{% set inner = 1 %}{{ inner }}{% endset %}{{ x }}{{ inner is defined }}",
    "{% if yes %}a{% elif no %}b{% else %}c{% endif %}{% if no %}a{% elif yes %}b{% else %}c{% endif %}{% if no %}a{% elif no %}b{% else %}c{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}",
    "{% if yes %}{% set z = 5 %}{% endif %}{{ z }}",
    "{% if no %}{{ 1 | nofilter }}{% endif %}fine",
    "{% if yes %}{{ 1 | nofilter }}{% endif %}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c='y') }} {{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "{% macro m(a=1, b=a) %}{{ b }}{% endmacro %}{{ m(5) }}",
    "{% macro outer() %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}",
    "{% macro fact(n) %}{{ 1 if n < 2 else n * (fact(n - 1) | int) }}{% endmacro %}{{ fact(6) }}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% for x in [1, 2] %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro box(t) %}[{{ t }}:{{ caller() }}]{% endmacro %}{% call box('a') %}body {{ n }}{% endcall %}",
    "{% macro each(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(v) each(numbers) %}<{{ v }}>{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro m() %}{% set q = 1 %}{% endmacro %}{{ m() }}{{ q is defined }}",
    "{% filter upper %}abc {{ text }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}banana{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% generation %}kept {{ n }}{% endgeneration %}",
    "{% for x in numbers %}{%- generation -%} {{ x }} {%- endgeneration -%}{% endfor %}",
    "{% print(n) %}",
    "{% raw %}{{ not }} {% a %}{% endraw %}",
    "{%- raw -%}  {{ x }}  {%- endraw -%}  y",
    "a {#- comment -#} b",
    "a {# comment #} b",
    "a\n{# comment #}\nb",
    "a\n  {# comment #}\nb",
    "{# {{ nested }} {% if %} #}x",
    "{#x#}{#-y-#}",
    "  {{ n }}  ",
    "\n{{ n }}\n",
    "{{ n }}\n\n",
    "x\n",
    "x\n\n",
    "{% if yes %}\n  a\n{% endif %}\nb",
    "  {% if yes %}\n  a\n  {% endif %}\nb",
    "x {% if yes %}\n a {% endif %} b",
    "{%+ if yes %}a{%+ endif %}",
    "  {%+ if yes %}a{% endif %}",
    "{% if yes +%}\na{% endif %}",
    "a  {%- if yes -%}  b  {%- endif -%}  c",
    "a\n\n{%- if yes -%}\n\nb\n\n{%- endif -%}\n\nc",
    "a  {{- n -}}  b",
    "a\n {{- n }}\n b",
    "{{ n -}}\n\n  b",
    "\t{% set x = 1 %}\t\nb",
    "a\u00a0\u2003{%- if yes %}b{% endif %}",
    "{% set x = 1 %}\n\nb",
    "{{ n }}{% if yes %}\n{% endif %}b",
    "line\r\n{% if yes %}\r\nx\r\n{% endif %}\r\nend\r\n",
    "{{ '\r\n' | length }}",
    "{{ {'a': {'b': 1}} }}",
    "{{ {'a': {'b': 1}}.a.b }}",
    "{{{'a': 1}}}",
    "{{ '}}' }}{{ '%}' }}",
    "{% set x = '%}' %}{{ x }}",
    "{ { n } } {n} % # }} %}",
    "{{-1}}",
    "{{ - 1 }}",
    "{% for x in numbers -%}\n  {{ x }}\n{%- endfor %}",
    "{% for x in numbers %}\n  {{- x }}\n{% endfor %}\nend",
    "{% for x in [1] %}\n    {% if x %}\n      {{ x }}\n    {% endif %}\n{% endfor %}\n",
    "{% for i in range(3) recursive %}{{ i }}{% endfor %}",
    "{% for p in [{'v': 1, 'c': [{'v': 2, 'c': []}]}] recursive %}{{ p.v }}@{{ loop.depth }}{{ loop(p.c) }}{% endfor %}",
    "{% set f = text.upper %}{{ f() }}",
    "{% set g = pairs.get %}{{ g('a') }}",
    "{% set x = numbers | select('odd') %}{{ x | list }}{{ x | list }}",
    "{% set x = numbers | map('string') %}{{ x | first }}{{ x | join(',') }}",
    "{{ numbers | select('odd') | last }}",
    "{% for x in numbers | reverse %}{{ x }} {% endfor %}",
    "{% for x in numbers[1:] %}{{ x }}{% endfor %}",
    "{% for m in people if m.age > 30 %}{{ m.name }}{{ loop.last }}{% endfor %}",
    "{{ loop is defined }}{% for x in [1] %}{{ loop is defined }}{% endfor %}",
    "{% set loop_messages = people[1:] %}{{ loop_messages | length }}",
    "{% if text is string and 'Hello' in text %}ok{% endif %}",
    "{% if people[0].city is mapping %}m{% endif %}",
    "{% if (people | length) > 2 and people[-1].name == 'Cy' %}ok{% endif %}",
    "{% set x = 'a' if yes else 'b' %}{{ x }}",
    "{% set messages = people %}{% for m in messages %}{% if (m['age'] == 31) != (loop.index0 % 2 == 0) %}{{ loop.index }}{% endif %}{% endfor %}",
    "{% break %}",
    "{% endif %}",
    "{% if yes %}",
    "{% for x in %}{% endfor %}",
    "{{ 1 + }}",
    "{{ (1 }}",
    "{{ 'open }}",
    "{{ n",
    "{# open",
    "{% nonsense %}",
    "{{ a b }}",
    "{{ [1, 2 }}",
    "{% set = 1 %}",
    "{% set none = 1 %}",
    "{% for true in numbers %}{% endfor %}",
    "{{ n | }}",
    "{{ n is }}",
    "{{ x.1.2 is defined }}",
    "{{ f(a=1, 2) }}",
    "{{ text.replace(*['l', 'L']) }}",
    "{{ '{a}'.format(**{'a': 1}) }}",
    "{{ text.split(sep=',') }}",
    "{% for x in numbers: %}{{ x }}{% endfor %}",
    "{{ 'a' if yes else }}",
    "{% if a is defined %}x{% else %}y{% endif %}",
    "{% elif yes %}",
    "{{ 5 is divisibleby 2 or 4 is divisibleby 2 }}",
    "{{ 'x' is string is true }}",
    "{% raw %}open",
    "{{ n }}{% if yes %}  {% endif %}{{ n }}",
    "{%- set x = [] -%}{% for i in range(3) %}{% set x = x + [i] %}{% endfor %}{{ x }}",
    "{% set ns = namespace(l=[]) %}{% for i in range(3) %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l }}",
    "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m('a') }}]",
    "{{ m.name if m is defined else 'no m' }}",
    "{% set _ = text %}{{ _ }}",
    "{{ true }}{{ True }}{{ false }}{{ none }}{{ None }}",
    "{{ not true }}{{ not none }}",
]

EXPRESSIONS = ["{{ " + line + " }}" for line in _EXPRESSIONS.strip().split("\n")] + _STATEMENTS
