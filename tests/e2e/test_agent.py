"""Claude Code itself, non-interactive, with an upstream that speaks Chat Completions: one tool call and its follow-up."""
import json
import os
import subprocess

from harness import CLIENT_KEY, Gateway, Reply, SLOW_BUILD, Skip, call, cases, eq, folder, limit, mock, provider, text

AGENTS = os.environ.get('E2E_AGENTS', '')
CLAUDE = os.path.join(AGENTS, '@anthropic-ai/claude-code-linux-x64/claude')
# its documented switches: no telemetry, no error reports, no updates, nothing but the model's API
QUIET = {'CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC': '1', 'DISABLE_TELEMETRY': '1', 'DISABLE_ERROR_REPORTING': '1', 'DISABLE_AUTOUPDATER': '1', 'DISABLE_BUG_COMMAND': '1', 'DISABLE_FEEDBACK_COMMAND': '1'}
DONE = 'The file says: forty-two.'


def tool_results(body, kind):
    if kind == 'openai':
        return [m for m in body['messages'] if m['role'] == 'tool']
    return [p for m in body['messages'] if isinstance(m['content'], list) for p in m['content'] if p['type'] == 'tool_result']


@cases('openai', 'anthropic')
@limit(120)
def test_claude_code(kind):
    """It reads a file by its Read tool: the call, its result and the last words all cross the gateway."""
    if not AGENTS:
        raise Skip('E2E_AGENTS is not set: ci installs the agents')
    if not os.access(CLAUDE, os.X_OK):
        raise Skip(f'no {CLAUDE}')
    home, work = os.path.join(folder(), 'home'), os.path.join(folder(), 'work')
    os.makedirs(home)
    os.makedirs(work)
    with open(os.path.join(work, 'answer.txt'), 'w') as file:
        file.write('forty-two\n')
    up = mock(lenient=kind == 'anthropic')  # betas that the sheet does not list
    asked = []

    def choose(request):
        body = request.json
        if not body.get('tools'):
            return text('A title')  # its side requests
        asked.append(body)
        results = tool_results(body, kind)
        if results:
            return text(DONE)
        return text('I read it. ') + call('toolu_01AbC' if kind == 'anthropic' else 'call_AbC1', 'Read', json.dumps({'file_path': os.path.join(work, 'answer.txt')}))
    up.default = choose
    gateway = Gateway(providers={'up': provider(up, kind)}, default_provider='up', api_keys=[CLIENT_KEY])
    environment = {'PATH': os.environ['PATH'], 'HOME': home, 'TMPDIR': folder(), 'ANTHROPIC_BASE_URL': gateway.url, 'ANTHROPIC_AUTH_TOKEN': CLIENT_KEY, 'ANTHROPIC_MODEL': 'claude-sonnet-4-5', 'ANTHROPIC_SMALL_FAST_MODEL': 'claude-haiku-4-5', 'NO_PROXY': '*', **QUIET}
    done = subprocess.run([CLAUDE, '-p', 'What does answer.txt say?', '--output-format', 'json', '--allowedTools', 'Read', '--max-turns', '4'], cwd=work, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=100 * SLOW_BUILD)
    tail = f'status {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{gateway.log[-3000:]}'
    eq(done.returncode, 0, tail)
    value = json.loads(done.stdout)
    value = value[-1] if isinstance(value, list) else value
    eq((value['is_error'], value['result']), (False, DONE), tail)
    results = [r for body in asked for r in tool_results(body, kind)]
    assert results, f'no tool result came back\n{tail}'
    assert 'forty-two' in json.dumps(results[0]), results[0]
    usage = value['usage']
    assert usage['input_tokens'] >= 12 and usage['output_tokens'] >= 7, usage
    for request in up.seen:
        assert CLIENT_KEY not in request.head.decode('latin-1')
        eq(request.path.split('?')[0], '/v1/chat/completions' if kind == 'openai' else '/v1/messages')
