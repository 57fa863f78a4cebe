"""The command line: check with places, version, help, models, exit codes, flags, the demonstration without a file."""
import json
import os
import re
import resource
import signal
import subprocess
import time

from harness import BIN, CLIENT_KEY, FLAVOUR, Gateway, Raw, Skip, UP_KEY, chat_stream, cleanup, eq, folder, mock, provider, refused_port, run, sub, until


def write(content, name='ring2api.json'):
    path = os.path.join(folder(), name)
    with open(path, 'w') as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return path


def test_version():
    for args in (['--version'],):
        done = run(*args)
        eq(done.returncode, 0)
        for word in ('ring2api', 'BearSSL', 'liburing'):
            assert word in done.stdout, done.stdout


def test_help():
    for args in (['--help'], ['serve', '--help'], ['check', '--help'], ['models', '--help']):
        done = run(*args)
        eq(done.returncode, 0, str(args))
        assert 'usage' in done.stdout, done.stdout
    for flag in ('--host', '--port', '--api-key', '--workers', '--log-format', '--log-level', '--openai-api-key', '--claude-base-url', '--default-model-mode', '--system-prompt-file', '--request-max-retries'):
        assert flag in run('--help').stdout, flag


def test_bad_usage():
    """Exit 2 and a word that helps."""
    for args in (['--no-such-flag'], ['no-such-command'], ['--port'], ['--port', 'x'], ['--port', '70000'], ['--workers', '-1'], ['--log-format', 'xml'], ['-c'], ['-c', '/no/such/file.json'], ['check', '-c', '/no/such/file.json'],
                 ['--default-model-mode', 'never'], ['check', 'stray']):
        with sub(' '.join(args)):
            done = run(*args, timeout=5)
            eq(done.returncode, 2, done.stderr)
            assert done.stderr.strip() and done.stdout == '', done


ERRORS = [  # file, line, column, a word of the message
    ('{"providers": {"up": {"kind": "openai"}}', 1, None, ''),
    ('{\n  "listen": ["127.0.0.1:3000"],\n  "provider": {}\n}', 3, 3, 'provider'),
    ('{"providers": {"up": {"kind": "openia", "keys": ["k"]}}}', 1, None, 'openia'),
    ('{\n "providers": {\n  "up": {"kind": "openai", "keys": ["env:NO_SUCH_NAME"]}\n }\n}', 3, None, 'NO_SUCH_NAME'),
    ('{"providers": {"up": {"kind": "openai", "keys": ["k"], "base_url": "ftp://x"}}}', 1, None, 'base_url'),
    ('{"providers": {"v1": {"kind": "echo"}}}', 1, None, 'v1'),
    ('{"providers": {"e": {"kind": "echo"}}, "default_provider": "x"}', 1, None, 'x'),
    ('{"providers": {"e": {"kind": "echo"}}, "routes": [{"model": "*", "to": ["nobody"]}]}', 1, None, 'nobody'),
    ('{"providers": {"e": {"kind": "echo"}}, "limits": {"header_bytes": 65536}}', 1, None, '32768'),
    ('{"providers": {"e": {"kind": "echo"}}, "timeouts": {"idle_ms": "5"}}', 1, None, 'number'),
    ('{"providers": {"e": {"kind": "echo"}}, "timeouts": {"idle_ms": -5}}', 1, None, ''),
    ('{"providers": {"e": {"kind": "echo"}}, "workers": 1.5}', 1, None, ''),
    ('{"providers": {"e": {"kind": "echo"}}, "listen": ["0.0.0.0:3000"]}', 1, None, 'allow_unauthenticated'),
    ('{"providers": {"e": {"kind": "echo"}}, "listen": ["127.0.0.1:99999"]}', 1, None, ''),
    ('{"providers": {"e": {"kind": "echo"}}, "workers": 1, "workers": 2}', 1, None, 'workers'),
    ('{"providers": {"e": {"kind": "echo"}}, "tls": {"ca_file": "/no/such.pem"}}', 1, None, 'no/such'),
    ('{"providers": {"e": {"kind": "echo"}}, "model_profiles": {"x*": {"am.thinkin": "manual"}}}', 1, None, 'am.thinkin'),
    ('[1]', 1, 1, ''),
    ('', 1, 1, ''),
    ('{"a": "\x01"}', 1, None, ''),
]


def test_check_errors():
    """FILE:LINE:COL: what is wrong; exit 2; serve says the same."""
    for content, line, column, word in ERRORS:
        with sub(content[:60] or 'empty'):
            path = write(content)
            for command in (['check', '-c', path], ['serve', '-c', path]):
                done = run(*command, timeout=6)
                eq(done.returncode, 2, done.stderr)
                first = done.stderr.splitlines()[0]
                match = re.match(re.escape(path) + r':(\d+):(\d+): \S', first) if 'error' not in first.split(' ')[:3] else re.search(re.escape(path) + r':(\d+):(\d+): ', first)
                assert match, done.stderr
                eq(int(match[1]), line, first)
                if column:
                    eq(int(match[2]), column, first)
                assert word in done.stderr, first


def test_check_reports_all():
    path = write('{\n"nonsense": 1,\n"workers": "many",\n"providers": {"up": {"kind": "openai", "keys": [5]}},\n"default_provider": "absent"\n}')
    done = run('check', '-c', path)
    eq(done.returncode, 2)
    lines = {int(m) for m in re.findall(r':(\d+):\d+: ', done.stderr)}
    assert {2, 3, 4, 5} <= lines, done.stderr


def test_check_good():
    """The effective configuration, secrets masked: it is JSON again, and comments and trailing commas are fine."""
    path = write('''{ // a comment
      "api_keys": ["%s", {"name": "bob", "key": "sk-bob-SECRET", "rpm": 5,},], /* another */
      "providers": {"up": {"kind": "openai", "base_url": "https://api.openai.com/v1", "keys": ["%s"], "headers": {"x-a": "b"}},},
      "default_provider": "up",
    }''' % (CLIENT_KEY, UP_KEY))
    done = run('check', '-c', path)
    eq(done.returncode, 0, done.stderr)
    assert not re.search(r':\d+:\d+: ', done.stderr), done.stderr
    assert 'SECRET' not in done.stdout, done.stdout
    value = json.loads(done.stdout)
    eq(value['providers']['up']['kind'], 'openai')
    eq(value['timeouts']['connect_ms'], 5000)
    eq(value['limits']['body_bytes'], 67108864)
    eq(value['retry'], {'attempts': 3, 'base_delay_ms': 500})
    again = run('check', '-c', write(done.stdout.replace('***', 'k'), 'again.json'))
    assert again.returncode in (0, 2)


def test_env_and_files():
    secret = write('sk-file-SECRET\n', 'secret')
    path = write({'api_keys': ['env:GATEWAY_KEY'], 'providers': {'up': {'kind': 'openai', 'base_url': 'http://127.0.0.1:1/v1', 'keys': [f'file:{secret}']}}})
    done = run('check', '-c', path, env={'GATEWAY_KEY': 'sk-env-SECRET'})
    eq(done.returncode, 0, done.stderr)
    assert 'SECRET' not in done.stdout + done.stderr
    done = run('check', '-c', path)
    eq(done.returncode, 2)
    assert 'GATEWAY_KEY' in done.stderr


def test_models():
    path = write({'providers': {'o': {'kind': 'openai', 'base_url': 'http://127.0.0.1:1/v1', 'keys': ['k'], 'models': ['gpt-a', 'org/b']}}, 'routes': [{'model': 'fast', 'to': ['o/gpt-a']}], 'default_provider': 'o'})
    done = run('models', '-c', path)
    eq((done.returncode, sorted(done.stdout.split())), (0, ['fast', 'gpt-a', 'org/b']))
    eq(run('models', '-c', write('{')).returncode, 2)


class Process:
    """The program as a user starts it, by flags."""

    def __init__(self, *args, env=None, cwd=None):
        self.path = os.path.join(folder(), f'log{len(os.listdir(folder()))}')
        environment = dict(os.environ, **(env or {}))
        os.makedirs(os.path.join(folder(), 'empty'), exist_ok=True)
        self.process = subprocess.Popen([BIN, *args], stdout=open(self.path, 'wb'), stderr=subprocess.STDOUT, env=environment, cwd=cwd or os.path.join(folder(), 'empty'))
        cleanup(lambda: self.process.kill())
        assert until(lambda: ' ready' in self.log or self.process.poll() is not None, 15), self.log

    @property
    def log(self):
        with open(self.path) as file:
            return file.read()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def test_demo():
    """No configuration at all: echo on loopback, and a curl line that works."""
    port = refused_port()
    demo = Process('--port', str(port))
    line = next((li for li in demo.log.splitlines() if 'curl' in li), None)
    assert line, f'no curl line:\n{demo.log}'
    match = re.search(r'curl .*', demo.log, re.S)
    command = match[0].split('\n2026')[0].split('\n20')[0]
    assert f':{port}/' in command, command
    done = subprocess.run(['bash', '-c', command], capture_output=True, text=True, timeout=20)
    eq(done.returncode, 0, done.stderr)
    assert 'choices' in done.stdout or 'data:' in done.stdout or 'content' in done.stdout, (command, done.stdout)
    eq(demo.end(), 0)


def test_default_address():
    """Without flags it is 127.0.0.1:3000, if nobody has that port."""
    import socket
    probe = socket.socket()
    try:
        probe.bind(('127.0.0.1', 3000))
    except OSError:
        from harness import Skip
        raise Skip('port 3000 is taken') from None
    finally:
        probe.close()
    demo = Process()
    raw = Raw(('127.0.0.1', 3000))
    raw.request('POST', '/v1/messages', {'model': 'x', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'hello demo'}]})
    eq(raw.answer().json()['content'][0]['text'], 'hello demo')
    eq(demo.end(), 0)


def test_echo_delay():
    port = refused_port()
    demo = Process('--port', str(port), env={'ECHO_DELAY_MS': '100'})
    raw = Raw(('127.0.0.1', port))
    start = time.monotonic()
    raw.request('POST', '/v1/chat/completions', {'model': 'x', 'stream': True, 'messages': [{'role': 'user', 'content': 'a b c d e f'}]})
    raw.head()
    at = [(time.monotonic() - start, e) for e in raw.events()]
    words = [(t, json.loads(e[1])['choices'][0]['delta'].get('content')) for t, e in at if e[1] != '[DONE]']
    words = [(t, w) for t, w in words if w]
    assert len(words) >= 6, words
    assert words[-1][0] - words[0][0] > 0.3, 'not word by word'
    eq(demo.end(), 0)


def test_flags():
    """Flags alone make a gateway; both spellings; the last wins."""
    up = mock()
    port = refused_port()
    made = Process('serve', '--host=127.0.0.1', '--port', '1', f'--port={port}', '--api-key', CLIENT_KEY, '--model-provider', 'openai-custom', '--openai-api-key', UP_KEY, '--openai-base-url', up.openai, '--workers', '1', '--log-format', 'text')
    raw = Raw(('127.0.0.1', port))
    raw.request('POST', '/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]}, [('authorization', f'Bearer {CLIENT_KEY}')])
    answer = raw.answer()
    eq(answer.status, 200, answer.text)
    eq(up.last().headers['authorization'], f'Bearer {UP_KEY}')
    assert 'SECRET' not in made.log
    eq(made.end(), 0)
    made = Process('--port', str(port), '--model-provider=claude-custom', f'--claude-api-key={UP_KEY}', f'--claude-base-url={up.anthropic}')
    raw = Raw(('127.0.0.1', port))
    raw.request('POST', '/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]})
    eq(raw.answer().status, 200)
    eq(up.last().headers['x-api-key'], UP_KEY)
    eq(made.end(), 0)


def test_default_file():
    """./ring2api.json is read when it is there."""
    where = os.path.join(folder(), 'with-file')
    os.makedirs(where)
    port = refused_port()
    with open(os.path.join(where, 'ring2api.json'), 'w') as file:
        json.dump({'listen': [f'127.0.0.1:{port}'], 'providers': {'e': {'kind': 'echo'}}, 'default_provider': 'e'}, file)
    made = Process(cwd=where)
    raw = Raw(('127.0.0.1', port))
    raw.request('GET', '/health')
    eq(raw.answer('GET').status, 200)
    eq(made.end(), 0)


def test_port_taken():
    """Exit 1 and the address in the message, not a silent second listener."""
    import socket
    other = socket.socket()
    other.bind(('127.0.0.1', 0))
    other.listen()
    done = run('--port', str(other.getsockname()[1]), timeout=8)
    eq(done.returncode, 1, done.stderr)
    assert str(other.getsockname()[1]) in done.stderr + done.stdout


def test_address_space_refused():
    """What cannot start says why."""
    if FLAVOUR in ('asan', 'tsan'):
        raise Skip('sanitizers need address space themselves')
    for megabytes in (60, 200):
        with sub(f'{megabytes} MB'):
            done = subprocess.run([BIN, '--port', '0'], cwd=folder(), capture_output=True, text=True, timeout=10, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)))
            eq(done.returncode, 1, done.stderr)
            assert 'cannot_start' in done.stderr and 'RLIMIT_AS' in done.stderr, done.stderr


def test_sample_configuration():
    """The configuration that ships is one that check accepts, given its environment."""
    import glob
    from harness import HERE
    for path in glob.glob(os.path.join(HERE, '../../src/main/share/*.json')):
        if 'seccomp' in path:
            json.load(open(path))
            continue
        with open(path) as file:
            names = set(re.findall(r'env:([A-Z0-9_]+)', file.read()))
        done = run('check', '-c', path, env={n: 'x' for n in names})
        eq(done.returncode, 0, done.stderr)
