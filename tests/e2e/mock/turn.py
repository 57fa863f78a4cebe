"""What a model says, in no vendor's words: the dialects render it."""
from dataclasses import dataclass, field


@dataclass
class Usage:
    input: int = 12      # without cached and written ones
    cached: int = 0
    written: int = 0
    output: int = 7      # with reasoning
    reasoning: int = 0


@dataclass
class Turn:
    parts: list = field(default_factory=list)  # of ('text', fragments), ('think', fragments, signature), ('redacted', data), ('call', id, name, fragments)
    stop: str = ''       # end, length, calls, filter, sequence; '' by the parts
    sequence: str = ''   # the stop sequence that was met
    usage: Usage = field(default_factory=Usage)
    interleave: bool = False  # fragments of parallel calls alternate (Chat Completions can)

    def __add__(self, other):
        return Turn(self.parts + other.parts, other.stop or self.stop, other.sequence or self.sequence, self.usage, self.interleave or other.interleave)

    @property
    def reason(self):
        if self.stop:
            return self.stop
        return 'calls' if any(p[0] == 'call' for p in self.parts) else 'end'

    def text(self):
        return ''.join(''.join(p[1]) for p in self.parts if p[0] == 'text')

    def thinking(self):
        return ''.join(''.join(p[1]) for p in self.parts if p[0] == 'think')


def cut(string, size=7):
    return [string[i:i + size] for i in range(0, len(string), size)] or ['']


def text(string, size=7, **more):
    return Turn([('text', cut(string, size))], **more)


def think(string, signature='EqRs+/sigA==', size=9):
    return Turn([('think', cut(string, size), signature)])


def redacted(data='ZW5jcnlwdGVk'):
    return Turn([('redacted', data)])


def call(id, name, arguments, size=5):
    return Turn([('call', id, name, cut(arguments, size) if arguments else [])])


def calls(*list_of, interleave=False):
    return Turn([('call', i, n, cut(a, 5) if a else []) for i, n, a in list_of], interleave=interleave)
