"""What tests stand on: gateways with a configuration of their own, an HTTP client that accepts no sloppiness, raw sockets.

Every test runs in a process of its own (run.py). A gateway listens on a loopback address that belongs to the test alone, so
tests run side by side; a mock is part of the test's process. When a test ends, all its gateways are stopped, and their logs
are searched for sanitizers' reports, for secrets and for prompts.
"""
import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mock import Mock, Reply, Turn, Usage, call, calls, redacted, text, think  # noqa: E402,F401

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get('R2A_BIN', os.path.join(HERE, '../../build/ring2api'))
TMP = os.environ.get('E2E_TMP', '/tmp/r2a-e2e')
FLAVOUR = os.environ.get('R2A_FLAVOUR', 'debug')
SLOW_BUILD = 3 if FLAVOUR in ('asan', 'tsan') else 1  # time limits are multiplied by it
IS_CI = os.environ.get('CI') == 'true'

UP_KEY = 'sk-upstream-SECRET-0123456789'   # keys of upstreams and clients: no log may show them
CLIENT_KEY = 'sk-client-SECRET-abcdef'
PROMPT = 'PROMPT-is-private'               # in prompts: no log may show it either
SECRETS = (b'SECRET', b'PROMPT-is-private')

_number = 0        # of the test within its run: run.py sets it
_gateways, _mocks, _cleanups = [], [], []


class Skip(Exception):
    pass


def slow(function):
    """Runs in `ci` only."""
    function.slow = True
    return function


def alone(function):
    """Measures time: nothing runs beside it."""
    function.alone = True
    return function


def limit(seconds):
    def set_it(function):
        function.limit = seconds
        return function
    return set_it


def cases(*values):
    """A test a value: test(value), named by str(value) or its first member."""
    def set_it(function):
        function.cases = values
        return function
    return set_it


subtests = []


@contextlib.contextmanager
def sub(name):
    """One of several checks: counted, and reported, by itself."""
    import traceback
    try:
        yield
    except Skip:
        raise
    except Exception as exception:
        text = traceback.format_exc()
        subtests.append((name, text if not isinstance(exception, AssertionError) or not exception.args else f'{text}'))
    else:
        subtests.append((name, None))


def eq(got, want, what=''):
    if got != want:
        raise AssertionError(f'{what}{": " if what else ""}got {short(got)}\n    want {short(want)}')


def short(value, size=1500):
    value = repr(value)
    return value if len(value) <= size else f'{value[:size]} … ({len(value)} characters)'


def until(test, timeout=5.0, step=0.01):
    """What test() says once it is true; the last falsity after the time."""
    end = time.monotonic() + timeout * SLOW_BUILD
    while True:
        value = test()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def folder():
    path = os.path.join(TMP, 'run', f'{os.getpid()}')
    os.makedirs(path, exist_ok=True)
    return path


def mock(**options):
    made = Mock(**options)
    _mocks.append(made)
    return made


def cleanup(function):
    _cleanups.append(function)


def finish(failed):
    """At the end of a test. Returns complaints."""
    complaints = []
    for function in _cleanups:
        with contextlib.suppress(Exception):
            function()
    for gateway in _gateways:
        complaints += gateway.close()
    for upstream in _mocks:
        for problem in upstream.problems:
            if not getattr(upstream, 'expect_problems', False):
                complaints.append(f'the mock refused a request: {problem}')
    return complaints


# ---- a gateway --------------------------------------------------------------------------------------------------

def provider(upstream, kind='openai', **more):
    base = {'openai': upstream.openai, 'openrouter': upstream.openai, 'openai-responses': upstream.openai, 'anthropic': upstream.anthropic, 'gemini': upstream.origin}[kind] if not isinstance(upstream, str) else upstream
    made = {'kind': kind, 'base_url': base, 'keys': [UP_KEY]}
    made.update(more)
    return made


class Gateway:
    """config: what ring2api.json holds beside `listen`; a string is written as it is."""

    def __init__(self, config=None, args=(), env=None, listen=None, wait=True, workers=1, cwd=None, quiet=False, **members):
        global _number
        index = len(_gateways)
        run = int(os.environ.get('E2E_RUN', os.getpid()))
        self.host = f'127.{run >> 8 & 127 | 1}.{run & 255}.{1 + _number % 250}'
        self.port = 3000 + index
        self.folder = os.path.join(folder(), str(index))
        os.makedirs(self.folder, exist_ok=True)
        self.log_path = os.path.join(self.folder, 'log')
        self.file = os.path.join(self.folder, 'ring2api.json')
        self.quiet = quiet
        self.exit = None
        if not isinstance(config, str):
            config = dict(config or {}, **members)
            config.setdefault('listen', listen or [f'{self.host}:{self.port}'])
            config.setdefault('workers', workers)
        self.write(config)
        environment = dict(os.environ)
        for name in ('HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'SSL_CERT_FILE'):
            environment.pop(name, None)
        environment.update(env or {})
        self.log_file = open(self.log_path, 'wb')
        self.process = subprocess.Popen([BIN, 'serve', '-c', self.file, *args], stdout=self.log_file, stderr=subprocess.STDOUT, env=environment,
                                        cwd=cwd or self.folder, start_new_session=False)
        _gateways.append(self)
        if wait and not until(lambda: ' ready' in self.log or '"ready"' in self.log or self.process.poll() is not None, 15):
            raise AssertionError(f'the gateway did not become ready:\n{self.log}')
        if wait and self.process.poll() is not None:
            raise AssertionError(f'the gateway ended with {self.process.returncode}:\n{self.log}')

    def write(self, config):
        self.config = config
        with open(self.file + '.new', 'w') as file:
            file.write(config if isinstance(config, str) else json.dumps(config, indent=1))
        os.rename(self.file + '.new', self.file)

    @property
    def url(self):
        return f'http://{self.host}:{self.port}'

    @property
    def log(self):
        with open(self.log_path, 'rb') as file:
            return file.read().decode('utf-8', 'replace')

    def lines(self, event='exchange'):
        """Access-log lines as dictionaries."""
        found = []
        for line in self.log.splitlines():
            if f' {event}' in line and not line.startswith('{'):
                found.append({m[0]: m[1][1:-1] if m[1].startswith('"') else m[1] for m in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line)})
        return found

    def line(self, index=-1, count=1):
        """One access-log line; waits for it to be written."""
        lines = until(lambda: self.lines() if len(self.lines()) >= count else None)
        assert lines, f'no access-log line:\n{self.log}'
        return lines[index]

    def metrics(self):
        answer = self.get('/metrics')
        eq(answer.status, 200, 'GET /metrics')
        values = {}
        for line in answer.text.splitlines():
            if line and not line.startswith('#'):
                name, value = line.rsplit(' ', 1)
                values[name] = float(value)
        return values

    def metric(self, name):
        values = self.metrics()
        found = {n: v for n, v in values.items() if n == name or n.startswith(name + '{')}
        assert found, f'no metric {name}: {sorted(values)}'
        return found[name] if name in found else found

    def idle(self, timeout=3):
        """Waits until nothing runs; complains of what stays."""
        def busy():
            values = self.metrics()
            wrong = {}
            if values['ring2api_slots_used{kind="exchange"}'] > 1:  # the one that asks
                wrong['exchanges'] = values['ring2api_slots_used{kind="exchange"}']
            if values['ring2api_slots_used{kind="client"}'] > 1:
                wrong['clients'] = values['ring2api_slots_used{kind="client"}']
            if values['ring2api_slots_used{kind="upstream"}'] > values['ring2api_upstream_idle']:
                wrong['upstreams'] = values['ring2api_slots_used{kind="upstream"}']
            return wrong
        if not until(lambda: not busy(), timeout):
            raise AssertionError(f'not idle: {busy()}')

    def memory_used(self):
        return self.metrics()['ring2api_memory_used_bytes']

    def rss(self):
        with open(f'/proc/{self.process.pid}/status') as file:
            return int(re.search(r'VmRSS:\s+(\d+)', file.read())[1]) * 1024

    def connect(self, **options):
        return Raw((self.host, self.port), **options)

    def call(self, method, path, body=None, headers=(), timeout=20):
        raw = self.connect(timeout=timeout)
        try:
            raw.request(method, path, body, headers)
            return raw.answer(method)
        finally:
            raw.close()

    def get(self, path, headers=(), **more):
        return self.call('GET', path, None, headers, **more)

    def post(self, path, body, headers=(), **more):
        return self.call('POST', path, body, headers, **more)

    def chat(self, body=None, headers=(), path='/v1/chat/completions', **members):
        body = body if body is not None else dict({'model': 'm', 'messages': [{'role': 'user', 'content': PROMPT}]}, **members)
        return self.post(path, body, headers)

    def messages(self, body=None, headers=(), path='/v1/messages', **members):
        body = body if body is not None else dict({'model': 'm', 'max_tokens': 100, 'messages': [{'role': 'user', 'content': PROMPT}]}, **members)
        return self.post(path, body, [('anthropic-version', '2023-06-01'), *as_list(headers)])

    def stream(self, path, body, headers=(), timeout=20):
        raw = self.connect(timeout=timeout)
        raw.request('POST', path, body, headers)
        return raw

    def reload(self):
        before = len(re.findall(r'reloaded|reload_refused', self.log))
        self.process.send_signal(signal.SIGHUP)
        assert until(lambda: len(re.findall(r'reloaded|reload_refused', self.log)) > before), f'no reload:\n{self.log}'

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, timeout=10):
        try:
            self.exit = self.process.wait(timeout * SLOW_BUILD)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'did not end within {timeout * SLOW_BUILD} s:\n{self.log[-3000:]}') from None
        return self.exit

    def close(self):
        complaints = []
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(4 * SLOW_BUILD)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(40)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                complaints.append('the gateway did not end at SIGTERM')
        self.log_file.close()
        with open(self.log_path, 'rb') as file:
            log = file.read()
        code = self.process.returncode
        if code not in (0, -signal.SIGKILL) and self.exit != code:
            complaints.append(f'the gateway ended with status {code}')
        for mark in (b'AddressSanitizer', b'LeakSanitizer', b'runtime error:', b'ThreadSanitizer', b'check failed'):
            if mark in log:
                at = max(0, log.index(mark) - 500)
                complaints.append(f'{mark.decode()} in the log:\n' + log[at:at + 4000].decode('utf-8', 'replace'))
                break
        for mark in SECRETS:
            if mark in log:
                at = max(0, log.index(mark) - 200)
                complaints.append(f'{mark.decode()} is in the log: ' + log[at:at + 400].decode('utf-8', 'replace'))
        return complaints


def as_list(headers):
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


# ---- HTTP as a strict client ------------------------------------------------------------------------------------

class Answer:
    def __init__(self, status, reason, fields, body, version):
        self.status, self.reason, self.fields, self.body, self.version = status, reason, fields, body, version
        self.headers = {}
        for name, value in fields:
            name = name.lower()
            assert name not in self.headers, f'{name} twice in an answer'
            self.headers[name] = value
        self.interim = []
        self.closed = None

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """Of either shape: (type, code or None, message)."""
        value = self.json()
        inner = value['error']
        return inner['type'], inner.get('code'), inner['message']

    @property
    def events(self):
        return sse(self.body)

    def __repr__(self):
        return f'{self.status} {dict(self.headers)} {short(self.body, 800)}'


class Closed(AssertionError):
    pass


class Raw:
    """A socket to attack with, and a reader that takes nothing for granted."""

    def __init__(self, address, timeout=10, receive=None):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(timeout * SLOW_BUILD)
        self.sock.connect(address)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''
        self.eof = False
        self.first_at = None

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def request(self, method, path, body=None, headers=()):
        headers = as_list(headers)
        names = {n.lower() for n, _ in headers}
        if body is not None and not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()
        if 'host' not in names:
            headers.insert(0, ('host', 'gateway.test'))
        if body is not None:
            if 'content-type' not in names:
                headers.append(('content-type', 'application/json'))
            if 'content-length' not in names and 'transfer-encoding' not in names:
                headers.append(('content-length', str(len(body))))
        head = f'{method} {path} HTTP/1.1\r\n' + ''.join(f'{n}: {v}\r\n' for n, v in headers) + '\r\n'
        return self.send(head.encode('latin-1') + (body or b''))

    def fill(self):
        """Reads once. False at the end."""
        if self.eof:
            return False
        data = self.sock.recv(65536)
        if self.first_at is None:
            self.first_at = time.monotonic()
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise Closed(f'closed while waiting for {mark!r}; had {short(self.buffer, 400)}')
        data, _, self.buffer = self.buffer.partition(mark)
        return data

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.fill():
                raise Closed(f'closed after {len(self.buffer)} of {size} bytes: {short(self.buffer[-300:])}')
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def head(self):
        lines = self.until(b'\r\n\r\n').split(b'\r\n')
        match = re.fullmatch(rb'(HTTP/1\.[01]) ([1-5]\d\d) ?([\t -~]*)', lines[0])
        assert match, f'bad status line {lines[0]!r}'
        fields = []
        for line in lines[1:]:
            field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)", line)
            assert field, f'bad header line {line!r}'
            fields.append((field[1].decode(), field[2].decode('latin-1').strip()))
        return Answer(int(match[2]), match[3].decode(), fields, b'', match[1].decode())

    def chunk(self):
        """The next chunk's data; b'' after the last."""
        line = self.until(b'\r\n')
        assert re.fullmatch(rb'[0-9A-Fa-f]{1,16}', line), f'bad chunk size line {line!r}'
        size = int(line, 16)
        data = self.exactly(size) if size else b''
        if size == 0:
            trailer = self.until(b'\r\n')
            assert trailer == b'', f'a trailer {trailer!r}'
            return b''
        assert self.exactly(2) == b'\r\n', 'chunk without its CRLF'
        return data

    def answer(self, method='POST'):
        interim = []
        answer = self.head()
        while 100 <= answer.status < 200:
            interim.append(answer.status)
            answer = self.head()
        answer.interim = interim
        answer.body = self.body(answer, method)
        return answer

    def body(self, answer, method='POST'):
        if method == 'HEAD' or answer.status in (204, 304):
            return b''
        assert not ('content-length' in answer.headers and 'transfer-encoding' in answer.headers), 'two framings'
        if answer.headers.get('transfer-encoding') == 'chunked':
            parts = []
            while True:
                data = self.chunk()
                if not data:
                    return b''.join(parts)
                parts.append(data)
        if 'content-length' in answer.headers:
            return self.exactly(int(answer.headers['content-length']))
        assert answer.headers.get('connection') == 'close' or answer.version == 'HTTP/1.0', f'no framing: {answer.headers}'
        return self.rest()

    def rest(self):
        """All up to the end of the connection."""
        while self.fill():
            pass
        data, self.buffer = self.buffer, b''
        return data

    def ends(self, timeout=3.0):
        """Whether the peer closes within the time without sending more (a reset counts)."""
        end = time.monotonic() + timeout * SLOW_BUILD
        if self.buffer:
            return False
        while not self.eof:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return False
            try:
                if self.fill():
                    return False
            except ConnectionError:
                self.eof = True
        return True

    def stays(self, seconds=0.3):
        """Whether the connection is open and silent for so long."""
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    def events(self, is_live=True):
        """Generator of (event, data) as they come in a chunked SSE answer; the head must have been read."""
        pending = b''
        while True:
            data = self.chunk()
            if not data:
                assert pending == b'', f'an event without its blank line: {pending!r}'
                return
            pending += data
            while b'\n\n' in pending:
                block, _, pending = pending.partition(b'\n\n')
                yield from sse(block + b'\n\n', comments=True)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()


def sse(body, comments=False):
    """Events of a stream as (name or None, data); the framing must be exact."""
    out = []
    assert body == b'' or body.endswith(b'\n\n'), f'unfinished event: {body[-200:]!r}'
    for block in body.split(b'\n\n')[:-1]:
        name, data = None, []
        for line in block.split(b'\n'):
            if line.startswith(b':'):
                if comments:
                    out.append((':', line[1:].decode().strip()))
                continue
            field, _, value = line.partition(b':')
            value = value[1:] if value.startswith(b' ') else value
            if field == b'event':
                name = value.decode()
            elif field == b'data':
                data.append(value.decode())
            else:
                raise AssertionError(f'strange SSE line {line!r}')
        if name or data:
            out.append((name, '\n'.join(data)))
    return out


def stopped_listener():
    """A TCP port whose connections are never established: its backlog is full."""
    server = socket.socket()
    server.bind(('127.0.0.1', 0))
    server.listen(0)
    port = server.getsockname()[1]
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(('127.0.0.1', port))
        fillers.append(filler)
    time.sleep(0.1)
    cleanup(lambda: [f.close() for f in fillers])
    return server, port


def refused_port():
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


def run(*args, cwd=None, env=None, timeout=20):
    environment = dict(os.environ, **(env or {}))
    return subprocess.run([BIN, *args], cwd=cwd or tempfile.mkdtemp(dir=folder()), env=environment, capture_output=True, text=True, timeout=timeout * SLOW_BUILD)


# ---- what streams say -------------------------------------------------------------------------------------------

def chat_stream(events):
    """A Chat Completions stream, checked against what its clients demand, as one message."""
    assert events, 'an empty stream'
    assert events[-1] == (None, '[DONE]'), f'ends with {events[-1]}'
    out = {'text': '', 'thinking': '', 'calls': {}, 'finish': None, 'usage': None, 'ids': set(), 'models': set()}
    roles = 0
    for name, data in events[:-1]:
        assert name is None, f'an event name {name}'
        chunk = json.loads(data)
        eq(chunk['object'], 'chat.completion.chunk')
        assert isinstance(chunk['created'], int)
        out['ids'].add(chunk['id'])
        out['models'].add(chunk['model'])
        if not chunk['choices']:
            assert out['usage'] is None, 'usage twice'
            assert out['finish'], 'usage before the finish'
            out['usage'] = chunk['usage']
            continue
        choice = chunk['choices'][0]
        eq(choice['index'], 0)
        assert out['finish'] is None, 'a delta after the finish'
        delta = choice['delta']
        roles += 'role' in delta
        out['text'] += delta.get('content') or ''
        out['thinking'] += delta.get('reasoning_content') or ''
        for part in delta.get('tool_calls', []):
            if part['index'] not in out['calls']:
                eq(part['index'], len(out['calls']), 'dense call indexes')
                eq(part['type'], 'function')
                out['calls'][part['index']] = [part['id'], part['function']['name'], part['function'].get('arguments', '')]
            else:
                assert 'id' not in part and 'name' not in part['function'] and 'type' not in part, 'id, type or name repeated'
                out['calls'][part['index']][2] += part['function']['arguments']
        out['finish'] = choice['finish_reason']
    eq(roles, 1, 'roles')
    eq(len(out['ids']), 1, 'ids of one stream')
    out['calls'] = list(out['calls'].values())
    return out


def message_stream(events):
    """The same of a Messages stream."""
    assert events, 'an empty stream'
    out = {'text': '', 'thinking': '', 'signature': '', 'calls': [], 'finish': None, 'usage': None, 'blocks': []}
    events = [e for e in events if e[0] != 'ping']
    eq(events[0][0], 'message_start')
    eq(events[-1][0], 'message_stop')
    eq(events[-2][0], 'message_delta')
    start = json.loads(events[0][1])['message']
    for member in ('id', 'type', 'role', 'content', 'model', 'stop_reason', 'stop_sequence', 'usage'):
        assert member in start, f'message_start lacks {member}'
    eq(start['content'], [])
    is_open, index = None, -1
    for name, data in events[1:-2]:
        value = json.loads(data)
        eq(value['type'], name)
        if name == 'content_block_start':
            assert is_open is None, 'two open blocks'
            index += 1
            eq(value['index'], index)
            is_open = value['content_block']
            out['blocks'].append(is_open['type'])
            if is_open['type'] == 'tool_use':
                eq(is_open['input'], {})
                out['calls'].append([is_open['id'], is_open['name'], ''])
        elif name == 'content_block_delta':
            eq(value['index'], index)
            delta = value['delta']
            kinds = {'text': ('text_delta', 'citations_delta'), 'thinking': ('thinking_delta', 'signature_delta'), 'tool_use': ('input_json_delta',)}
            assert delta['type'] in kinds[is_open['type']], f"{delta['type']} in a {is_open['type']} block"
            if delta['type'] == 'text_delta':
                out['text'] += delta['text']
            elif delta['type'] == 'thinking_delta':
                out['thinking'] += delta['thinking']
            elif delta['type'] == 'signature_delta':
                out['signature'] = delta['signature']
            elif delta['type'] == 'input_json_delta':
                out['calls'][-1][2] += delta['partial_json']
        elif name == 'content_block_stop':
            eq(value['index'], index)
            is_open = None
        else:
            raise AssertionError(f'event {name}')
    assert is_open is None, 'a block left open'
    last = json.loads(events[-2][1])
    out['finish'], out['usage'] = last['delta']['stop_reason'], last['usage']
    out['sequence'] = last['delta'].get('stop_sequence')
    for item in out['calls']:
        item[2] = item[2] or '{}'
    return out


def responses_stream(events):
    """A Responses stream under the rules of the official accumulators (openai-responses.md 6.3)."""
    assert events, 'an empty stream'
    out = {'text': '', 'thinking': '', 'calls': [], 'finish': None, 'usage': None, 'items': []}
    open_items, ended = {}, None
    for number, (name, data) in enumerate(events):
        value = json.loads(data)
        eq(value['type'], name)
        eq(value['sequence_number'], number, 'sequence_number')
        if name == 'keepalive':
            assert number > 0, 'a keep-alive before response.created'
            continue
        assert ended is None, f'{name} after the end'
        if number == 0:
            eq(name, 'response.created')
            eq(value['response']['output'], [])
        if 'item_id' in value:
            item = open_items[value['output_index']]
            eq(value['item_id'], item['id'], name)
        if name == 'response.output_item.added':
            eq(value['output_index'], len(out['items']), 'output_index')
            item = value['item']
            assert item['id'] and item['id'] not in [i['id'] for i in out['items']], 'item id'
            out['items'].append(item)
            open_items[value['output_index']] = item
            if item['type'] == 'function_call':
                assert item['call_id'] and item['name']
                eq(item['arguments'], '')
                out['calls'].append([item['call_id'], item['name'], ''])
                item['_call'] = out['calls'][-1]
        elif name == 'response.output_text.delta':
            out['text'] += value['delta']
        elif name == 'response.reasoning_summary_text.delta' or name == 'response.reasoning_text.delta':
            out['thinking'] += value['delta']
        elif name == 'response.function_call_arguments.delta':
            item['_call'][2] += value['delta']
        elif name == 'response.function_call_arguments.done':
            eq(value['arguments'], item['_call'][2], 'arguments')
            eq(value['name'], item['name'])
        elif name == 'response.output_item.done':
            done = value['item']
            item = open_items.pop(value['output_index'])
            eq((done['id'], done['type'], done.get('call_id')), (item['id'], item['type'], item.get('call_id')))
            out['items'][value['output_index']] = done
        elif name in ('response.completed', 'response.incomplete', 'response.failed'):
            ended = name
            eq(value['response']['output'], out['items'], 'the final output')
            out['usage'] = value['response']['usage']
            eq(value['response']['status'], name.split('.')[1])
    assert ended, f'ends with {events[-1][0]}'
    assert not open_items, 'items left open'
    out['finish'] = ended.split('.')[1]
    return out


def gemini_answer(chunks):
    """generateContent's answers, whole or in chunks, as one."""
    out = {'text': '', 'thinking': '', 'calls': [], 'finish': None, 'usage': None}
    assert chunks, 'an empty stream'
    for chunk in chunks:
        assert 'error' not in chunk, chunk
        for candidate in chunk.get('candidates', []):
            assert out['finish'] is None, 'a part after the finish'
            for part in candidate.get('content', {}).get('parts', []):
                if 'functionCall' in part:
                    out['calls'].append([part['functionCall'].get('id'), part['functionCall']['name'], json.dumps(part['functionCall'].get('args', {}))])
                elif part.get('thought'):
                    out['thinking'] += part['text']
                else:
                    out['text'] += part.get('text', '')
            out['finish'] = candidate.get('finishReason')
        out['usage'] = chunk.get('usageMetadata', out['usage'])
    return out


def gemini_stream(body):
    """Its SSE: bare `data: ` lines, nothing else."""
    blocks = body.replace(b'\r\n', b'\n').split(b'\n\n')
    eq(blocks[-1], b'', 'the end of the stream')
    for block in blocks[:-1]:
        assert block.startswith(b'data: {') and b'\n' not in block, f'strange block {block[:100]!r}'
    return gemini_answer([json.loads(b[6:]) for b in blocks[:-1]])
