"""Words for validators: each complaint is an exception that carries the vendor's parameter path."""
import re


class Bad(Exception):
    def __init__(self, where, why, code=None, status=400):
        super().__init__(f'{where}: {why}' if where else why)
        self.where, self.why, self.code, self.status = where, why, code, status


def need(truth, where, why, code=None):
    if not truth:
        raise Bad(where, why, code)


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def known(value, where, names, code='unknown_parameter'):
    """An object with members of `names` only."""
    need(isinstance(value, dict), where, f'expected an object, got {type(value).__name__}', 'invalid_type')
    for name in value:
        need(name in names, f'{where}.{name}' if where else name, 'unknown parameter', code)
    return value


def typed(value, where, kind, low=None, high=None, null=False):
    if value is None and null:
        return
    test = {'str': lambda v: isinstance(v, str), 'int': is_int, 'number': is_number, 'bool': lambda v: isinstance(v, bool),
            'list': lambda v: isinstance(v, list), 'object': lambda v: isinstance(v, dict)}[kind]
    need(test(value), where, f'expected {kind}, got {type(value).__name__}', 'invalid_type')
    if low is not None:
        need(value >= low, where, f'must be at least {low}', 'invalid_value')
    if high is not None:
        need(value <= high, where, f'must be at most {high}', 'invalid_value')


def one_of(value, where, values, null=False):
    if value is None and null:
        return
    need(value in values, where, f'{value!r} is none of {", ".join(map(str, values))}', 'invalid_value')


NAME_64 = re.compile(r'[A-Za-z0-9_-]{1,64}\Z')
NAME_128 = re.compile(r'[A-Za-z0-9_-]{1,128}\Z')
ID = re.compile(r'[A-Za-z0-9_-]+\Z')
BASE64 = re.compile(r'[A-Za-z0-9+/]+={0,2}\Z')


def base64_text(value, where):
    typed(value, where, 'str')
    need(len(value) % 4 == 0 and BASE64.match(value), where, 'not base64', 'invalid_value')
