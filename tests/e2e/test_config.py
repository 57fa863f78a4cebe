"""The configuration as the command line shows it: check, models, flags, the environment, what AIClient-2-API brings."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.request

from harness import BIN, SLOW_BUILD, cleanup, eq, folder, sub, until
import harness


def run(*args, env=None, files=None, cwd=None):
    """ring2api ARGS in a folder of its own with nothing in the environment; (code, stdout, stderr)."""
    cwd = cwd or os.path.join(folder(), f'cli{time.monotonic_ns()}')
    os.makedirs(cwd, exist_ok=True)
    for name, text in (files or {}).items():
        with open(os.path.join(cwd, name), 'w') as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
    done = subprocess.run([BIN, *args], cwd=cwd, env=dict(env or {}), capture_output=True, text=True, timeout=20 * SLOW_BUILD)
    assert 'Sanitizer' not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_version():
    code, out, err = run('--version')
    eq((code, err), (0, ''))
    assert re.match(r'ring2api \d+\.\d+\.\d+\n', out), out
    assert 'BearSSL' in out and 'liburing' in out and 'io_uring' in out, out


def test_help():
    code, out, _ = run('--help')
    eq(code, 0)
    for word in ('serve', 'check', 'models', 'ping', '--port', '--openai-api-key', '-c FILE'):
        assert word in out, f'no {word} in {out}'
    for command in ('serve', 'check', 'models', 'ping'):
        code, out, err = run(command, '--help')
        eq((code, err), (0, ''))
        assert out.startswith('usage: ring2api '), out


def test_usage_errors():
    for args, words in ((('serv',), 'unknown command serv'), (('--prot', '1'), 'did you mean --port?'), (('check', '--port'), 'needs a value'), (('check', 'x'), 'unexpected argument: x'),
                        (('check', '--port', '70000'), '--port: this must be a whole number from 0 to 65535'), (('check', '-c', 'no.json'), 'no.json: there is no such file'),
                        (('serve', '--gemini-oauth-creds-file', 'x'), 'not available yet'), (('ping',), 'not available yet')):
        with sub(' '.join(args)):
            code, out, err = run(*args)
            eq((code, out), (2, ''), err)
            assert words in err, err


def test_check_prints_what_holds():
    config = '''{
  // comment
  "api_keys": ["env:GATE"], "providers": {"up": {"kind": "openai", "keys": ["file:key"], "headers": {"x-token": "tok-SECRET"}}},
  "routes": [{"model": "fast", "to": ["up/m"]}], "timeouts": {"idle_ms": 7},
}'''
    code, out, err = run('check', files={'ring2api.json': config, 'key': 'sk-SECRET\n'}, env={'GATE': 'gate-SECRET'})
    eq(code, 0, err)
    assert 'SECRET' not in out + err, out + err
    value = json.loads(out)
    eq(value['providers']['up']['keys'], ['***'])
    eq(value['timeouts']['idle_ms'], 7)
    eq(value['timeouts']['first_byte_ms'], 120000)
    eq(value['routes'][0]['to'][0], {'provider': 'up', 'model': 'm'})
    eq(err, '')


def test_check_names_every_error():
    code, out, err = run('check', '-c', 'c.json', files={'c.json': '{\n "workers": -1,\n "lisen": [],\n "providers": {"a": {"kind": "opnai"}}\n}\n'})
    eq((code, out), (2, ''))
    lines = err.splitlines()
    eq(len(lines), 3, err)
    assert lines[0].startswith('c.json:2:13: '), lines
    assert lines[1].startswith('c.json:3:2: ') and 'did you mean "listen"?' in lines[1], lines
    assert lines[2].startswith('c.json:4:30: ') and '"openai"' in lines[2], lines
    code, _, err = run('serve', '-c', 'c.json', files={'c.json': '{"a" 1}'})
    eq(code, 2)
    assert err.startswith('c.json:1:6: '), err


def test_check_says_who_is_off():
    code, out, err = run('check', files={'ring2api.json': {'providers': {'a': {'kind': 'openai', 'keys': ['env:NOPE'], 'optional': True}, 'e': {'kind': 'echo'}}}})
    eq(code, 0)
    assert 'the provider "a" is off: the environment variable NOPE is not set' in err, err


def test_models():
    config = {'providers': {'a': {'kind': 'openai', 'base_url': 'http://127.0.0.1:1/v1', 'models': ['m1', 'org/m2', 'g*']}}, 'routes': [{'model': 'fast', 'to': ['a/m1']}], 'default_provider': 'a'}
    code, out, err = run('models', files={'ring2api.json': config})
    eq((code, err), (0, ''))
    eq(sorted(out.split()), ['fast', 'm1', 'org/m2'])
    eq(run('models')[1], 'echo\n')


def serve(*args, env=None):
    cwd = os.path.join(folder(), f'cli{time.monotonic_ns()}')
    os.makedirs(cwd)
    log = open(os.path.join(cwd, 'log'), 'wb')
    process = subprocess.Popen([BIN, *args], cwd=cwd, env=dict(env or {}), stdout=log, stderr=subprocess.STDOUT)
    cleanup(process.kill)

    def text():
        with open(log.name) as file:
            return file.read()
    assert until(lambda: ' ready' in text() or '"ready"' in text() or process.poll() is not None, 15) and process.poll() is None, text()
    return process, text


def ask(url, body, key=None):
    request = urllib.request.Request(url, json.dumps(body).encode(), {'content-type': 'application/json', **({'authorization': f'Bearer {key}'} if key else {})})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_demo():
    """Nothing configured: echo answers, and the line that was printed does what it says."""
    host = f'127.9.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}'
    process, log = serve('--host', host, '--port', '3999')
    line = next(line for line in log().splitlines() if line.startswith('  curl '))
    done = subprocess.run(['sh', '-c', line], capture_output=True, text=True, timeout=20)
    eq(json.loads(done.stdout)['choices'][0]['message']['content'], 'hello', done.stderr)
    process.send_signal(signal.SIGTERM)
    eq(process.wait(10 * SLOW_BUILD), 0)


def test_flags_alone():
    """An upstream and a client key by flags, as AIClient-2-API's users type them."""
    up = harness.mock()
    host = f'127.10.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}'
    process, log = serve('--host', host, '--port=3998', '--api-key', 'k1', '--model-provider', 'openai-custom', '--openai-api-key', harness.UP_KEY, '--openai-base-url', up.openai, '--log-format', 'json',
                         '--workers', '1')
    answer = ask(f'http://{host}:3998/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}]}, 'k1')
    eq(answer['choices'][0]['message']['content'], 'Hello from the mock.')
    eq(up.last().model, 'm')
    for line in log().splitlines():
        assert line.startswith('{'), line
        json.loads(line)
    process.send_signal(signal.SIGTERM)
    eq(process.wait(10 * SLOW_BUILD), 0)


def test_aiclient_config():
    """Their config.json by -c: recognised by its keys, printed as ours, warned about where there is no counterpart."""
    theirs = {'REQUIRED_API_KEY': '123456', 'SERVER_PORT': 3100, 'HOST': 'localhost', 'MODEL_PROVIDER': 'claude-custom', 'CLAUDE_API_KEY': 'sk-SECRET', 'CLAUDE_BASE_URL': 'https://h.example/v1',
              'OPENAI_API_KEY': None, 'REQUEST_MAX_RETRIES': 3, 'CRON_NEAR_MINUTES': 15, 'PROMPT_LOG_MODE': 'none'}
    code, out, err = run('check', '-c', 'config.json', files={'config.json': json.dumps(theirs, indent=1)})
    eq(code, 0, err)
    value = json.loads(out)
    eq(value['default_provider'], 'claude-custom')
    eq(value['providers']['claude-custom']['kind'], 'anthropic')
    eq(value['listen'][0], '127.0.0.1:3100')
    eq(value['retry']['attempts'], 4)
    assert 'SECRET' not in out + err and '123456' not in out + err
    assert 'config.json:10:2: warning: CRON_NEAR_MINUTES: ' in err, err
    code, _, err = run('check', '-c', 'config.json', files={'config.json': '{"SERVER_PORT": true}'})
    eq(code, 2)
    assert err.startswith('config.json:1:17: '), err


def test_an_address_in_use():
    host = f'127.11.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}'
    import socket
    with socket.socket() as taken:
        taken.bind((host, 0))
        taken.listen()
        code, _, err = run('--host', host, '--port', str(taken.getsockname()[1]))
        eq(code, 1, err)
        assert 'in use' in err.lower() or 'EADDRINUSE' in err, err
