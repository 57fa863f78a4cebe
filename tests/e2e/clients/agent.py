"""Coding agents, run non-interactively against a gateway, and what of their conversation an upstream was told.

One script for all of them: of two questions in one session, the first needs a file read, the second a file and a picture at
a time. Whatever
the upstream's protocol, its model thinks before each step and signs its thoughts, and wants to see what it said again.
"""
import base64
import json
import os
import struct
import subprocess
import zlib

from harness import CLIENT_KEY, Gateway, SLOW_BUILD, Skip, call, calls, eq, folder, mock, provider, redacted, text, think

AGENTS = os.environ.get('E2E_AGENTS', '')
NODE = os.environ.get('E2E_NODE', 'node')
KINDS = ('openai', 'openai-responses', 'anthropic', 'gemini')
PATHS = {'openai': ('/v1/chat/completions',), 'openai-responses': ('/v1/responses', '/v1/responses/input_tokens'), 'anthropic': ('/v1/messages', '/v1/messages/count_tokens')}
METHODS = ('generateContent', 'streamGenerateContent', 'countTokens')
# models that ask for the most: reasoning back as text, thinking before calls, signatures on calls
MODELS = {'openai': 'deepseek-v4', 'openai-responses': 'gpt-5.5', 'anthropic': 'claude-sonnet-4-5', 'gemini': 'gemini-3-pro-preview'}

FILES = {'answer.txt': 'forty-two', 'left.txt': 'one-to-the-left'}
ASKED = ('What does answer.txt say?', 'And left.txt and right.png, at once?')
READING, DONE = 'I read it.', 'The file says: forty-two.'
BOTH, LAST = 'Now both.', 'One to the left, two to the right.'
# thought, signature: valid as Anthropic's, base64 as Google's
THOUGHTS = (('Which tool reads a file? ', 'EqRsMQ+/aa=='), ('It came back. ', 'EqRsMg+/bb=='), ('Two at a time… 並列 ', 'EqRsMw+/cc=='), ('That is all. ', 'EqRsNA+/dd=='))
SKIP = 'skip_thought_signature_validator'  # what Gemini CLI writes where it lost a signature
ROUTED = '{"complexity_reasoning": "It reads files.", "complexity_score": 50}'  # what Gemini CLI asks aside; others are content with any text
HIDDEN = 'cmVkYWN0ZWQ+/w=='


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


# 16 by 16 pixels of red, green and blue
PICTURE = (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 16, 16, 8, 2, 0, 0, 0)) +
           chunk(b'IDAT', zlib.compress(b''.join(b'\0' + b''.join(bytes((16 * x, 16 * y, 128)) for x in range(16)) for y in range(16)))) + chunk(b'IEND', b''))


def program(*path):
    """Where an agent lies; skips the test where ci has not put it."""
    if not AGENTS:
        raise Skip('no agents are installed: ci runs them, and ./build.sh e2e agent')
    found = os.path.join(AGENTS, *path)
    if not os.path.exists(found):
        raise Skip(f'no {found}')
    return found


# ---- what an upstream was told: ('asked', which), ('think', text, secret), ('hidden', secret), ('text', text), ('call', id, name, arguments, secret), ('result', id, word) ----

def asked(words):
    return [('asked', i) for i, question in enumerate(ASKED) if question in words]


def result(id, value):
    return 'result', id, [word for word in FILES.values() if word in json.dumps(value)]


def joined(content):
    return content if isinstance(content, str) else ''.join(p.get('text', '') for p in content or [])


def told_openai(body):
    for message in body['messages']:
        if message['role'] == 'user':
            yield from asked(joined(message['content']))
        elif message['role'] == 'tool':
            yield result(message['tool_call_id'], message['content'])
        elif message['role'] == 'assistant':
            if message.get('reasoning_content'):
                yield 'think', message['reasoning_content'], None
            if message.get('content'):
                yield 'text', joined(message['content'])
            for made in message.get('tool_calls', []):
                yield 'call', made['id'], made['function']['name'], json.loads(made['function']['arguments']), None


def told_responses(body):
    for item in body['input']:
        kind = item.get('type', 'message')
        if kind == 'message' and item['role'] == 'user':
            yield from asked(joined(item['content']))
        elif kind == 'message' and item['role'] == 'assistant':
            yield 'text', joined(item['content'])
        elif kind == 'reasoning':
            words = joined(item['summary'])
            yield ('think', words, item['encrypted_content']) if words else ('hidden', item['encrypted_content'])
        elif kind in ('function_call', 'custom_tool_call'):
            yield 'call', item['call_id'], item['name'], json.loads(item['arguments']) if kind == 'function_call' else item['input'], None
        elif kind in ('function_call_output', 'custom_tool_call_output'):
            yield result(item['call_id'], item['output'])


def told_anthropic(body):
    for message in body['messages']:
        for block in [{'type': 'text', 'text': message['content']}] if isinstance(message['content'], str) else message['content']:
            if block['type'] == 'text':
                yield from [('text', block['text'])] if message['role'] == 'assistant' else asked(block['text'])
            elif block['type'] == 'thinking':
                yield 'think', block['thinking'], block['signature']
            elif block['type'] == 'redacted_thinking':
                yield 'hidden', block['data']
            elif block['type'] == 'tool_use':
                yield 'call', block['id'], block['name'], block['input'], None
            elif block['type'] == 'tool_result':
                yield result(block['tool_use_id'], block['content'])


def told_gemini(body):
    for content in body['contents']:
        for part in content['parts']:
            if 'functionCall' in part:
                yield 'call', part['functionCall'].get('id'), part['functionCall']['name'], part['functionCall'].get('args', {}), part.get('thoughtSignature')
            elif 'functionResponse' in part:
                yield result(part['functionResponse'].get('id'), part['functionResponse']['response'])
            elif part.get('thought'):
                yield 'think', part['text'], part.get('thoughtSignature')
            elif content.get('role') == 'model':
                if part['text']:
                    yield 'text', part['text']
            else:
                yield from asked(part.get('text', ''))


TOLD = {'openai': told_openai, 'openai-responses': told_responses, 'anthropic': told_anthropic, 'gemini': told_gemini}


def told(kind, body):
    """What the model was told. Gemini CLI tells a result of an earlier run twice."""
    found = []
    for step in TOLD[kind](body):
        if step[0] != 'result' or step not in found:
            found.append(step)
    return found


# ---- the script ----

class Script:
    """Upstream and gateway of one test. read(name): the call (tool's name, arguments) by which the agent reads a file.
    An agent that forgets returns no thoughts, only what stands on calls, and in a later run not even that. An upstream of the
    agent's own protocol is asked by the model's own name: Claude Code returns thoughts to the model that had them only."""

    def __init__(self, own, kind, read, forgets=False, lenient=False):
        self.kind, self.read, self.forgets = kind, read, forgets
        self.model = None if kind == own else MODELS[kind]
        self.folder = folder()
        self.home, self.work = os.path.join(self.folder, 'home'), os.path.join(self.folder, 'work')
        os.makedirs(self.home)
        os.makedirs(self.work)
        subprocess.run(['git', 'init', '-q', self.work], check=True)  # agents look for the project's root above them
        for name, word in FILES.items():
            with open(os.path.join(self.work, name), 'w') as file:
                file.write(word + '\n')
        with open(self.path('right.png'), 'wb') as file:
            file.write(PICTURE)
        self.asked, self.aside, self.counted = [], [], []
        self.up = mock(lenient=lenient)
        self.up.default = self.answer
        self.gateway = Gateway(providers={'up': provider(self.up, kind)}, routes=[{'model': '*', 'to': [f'up/{self.model}' if self.model else 'up']}], api_keys=[CLIENT_KEY])
        # nothing but the gateway is to be reached
        self.environment = {'PATH': os.environ['PATH'], 'HOME': self.home, 'TMPDIR': self.folder, 'NO_PROXY': self.gateway.host, 'HTTPS_PROXY': 'http://127.0.0.1:9', 'HTTP_PROXY': 'http://127.0.0.1:9'}

    def path(self, name):
        return os.path.join(self.work, name)

    def call(self, number, name):
        id = f'toolu_{number}AbC' if self.kind == 'anthropic' else f'call_{number}AbC'
        tool, arguments = self.read(name)
        return id, tool, arguments

    def steps(self):
        """What the model says to the requests that have tools."""
        sealed = [think(*thought) for thought in THOUGHTS]
        if self.kind == 'anthropic':
            sealed[0] += redacted(HIDDEN)
        return [sealed[0] + text(READING) + call(*self.call(1, 'answer.txt')), sealed[1] + text(DONE),
                sealed[2] + text(BOTH) + calls(self.call(2, 'left.txt'), self.call(3, 'right.png')), sealed[3] + text(LAST)]

    def answer(self, request):
        body = request.json
        if request.path.split('?')[0].endswith(('input_tokens', 'count_tokens', ':countTokens')):
            self.counted.append(body)
            return text('')
        if not body.get('tools') and not any(i.get('type') == 'additional_tools' for i in body.get('input', [])):
            self.aside.append(body)
            return text(ROUTED)
        self.asked.append(body)
        steps = self.steps()
        assert len(self.asked) <= len(steps), f'request {len(self.asked)}: {told(self.kind, body)}'
        return steps[len(self.asked) - 1]

    def run(self, command, **environment):
        done = subprocess.run(command, cwd=self.work, env=dict(self.environment, **environment), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=50 * SLOW_BUILD)
        self.tail = f'status {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{self.gateway.log[-2000:]}'
        eq(done.returncode, 0, self.tail)
        return done.stdout

    def thought(self, number):
        """A thought as this upstream gets it back: as text where calls follow, with its secret, or in the call alone."""
        words, secret = THOUGHTS[number]
        if self.kind == 'gemini' or (number % 2 and (self.kind == 'openai' or self.forgets)):
            return []
        return [('think', words, {'openai': None, 'openai-responses': 'gAAAA' + secret, 'anthropic': secret}[self.kind])]

    def called(self, number, name, secret=None):
        id, tool, arguments = self.call(number, name)
        if arguments.startswith('{'):  # not a free-form tool's
            arguments = json.loads(arguments)
        return 'call', id, tool, arguments, secret if self.kind == 'gemini' else None

    def result(self, number, name):
        return 'result', self.call(number, name)[0], [FILES[name]] if name in FILES else []

    def first(self, secret):
        hidden = [('hidden', HIDDEN)] if self.kind == 'anthropic' else []
        return [('asked', 0), *self.thought(0), *hidden, ('text', READING), self.called(1, 'answer.txt', secret), self.result(1, 'answer.txt')]

    def check(self, pictures=1):
        """Each request held all that was said before, and the last one the picture."""
        first, second = THOUGHTS[0][1], THOUGHTS[2][1]
        again = [*self.first(SKIP if self.forgets else first), *self.thought(1), ('text', DONE), ('asked', 1)]
        both = [*self.thought(2), ('text', BOTH), self.called(2, 'left.txt', second), self.called(3, 'right.png'), self.result(2, 'left.txt'), self.result(3, 'right.png')]
        history = [[('asked', 0)], self.first(first), again, again + both]
        eq(len(self.asked), len(history), 'requests')
        for i, (body, want) in enumerate(zip(self.asked, history)):
            got = told(self.kind, body)
            if self.model is None and all(step[0] == 'result' for step in got[-2:]):
                got[-2:] = sorted(got[-2:])  # relayed as the agent's reads ended
            eq(got, want, f'request {i + 1}')
        eq([json.dumps(body).count(base64.b64encode(PICTURE).decode()) for body in self.asked], [0, 0, 0, pictures], 'pictures')
        for request in self.up.seen:
            assert CLIENT_KEY not in request.head.decode('latin-1')
            path, _, method = request.path.split('?')[0].partition(':')
            assert path == f'/v1beta/models/{request.model}' and method in METHODS if self.kind == 'gemini' else path in PATHS[self.kind], request.path
            if self.model:
                eq(request.model, self.model)
