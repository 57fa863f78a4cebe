"""Coding agents themselves, non-interactively, before an upstream of each protocol: tool calls, their results, and a second question in the same session."""
import json
import os

from clients.agent import ASKED, DONE, KINDS, LAST, NODE, READING, Script, THOUGHTS, program
from harness import CLIENT_KEY, cases, eq, limit


# ---- Claude Code ----

CLAUDE = '@anthropic-ai/claude-code-linux-x64/claude'
# its documented switches: no telemetry, no error reports, no updates, nothing but the model's API
CLAUDE_QUIET = {'CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC': '1', 'DISABLE_TELEMETRY': '1', 'DISABLE_ERROR_REPORTING': '1', 'DISABLE_AUTOUPDATER': '1', 'DISABLE_BUG_COMMAND': '1', 'DISABLE_FEEDBACK_COMMAND': '1'}


THINKING = {'budget': 'claude-sonnet-4-5', 'adaptive': 'claude-opus-4-8'}  # what it asks for, by the model it believes to talk to


@cases(*(f'{thinking} {kind}' for thinking in THINKING for kind in KINDS))
@limit(120)
def test_claude_code(case):
    thinking, kind = case.split()
    claude = program(CLAUDE)
    # betas that the sheet does not list
    script = Script('anthropic', kind, lambda name: ('Read', json.dumps({'file_path': script.path(name)})), lenient=kind == 'anthropic')
    for i, last in enumerate((DONE, LAST)):
        command = [claude, '-p', ASKED[i], *(['--continue'] if i else []), '--output-format', 'json', '--allowedTools', 'Read', '--max-turns', '4']
        out = script.run(command, ANTHROPIC_BASE_URL=script.gateway.url, ANTHROPIC_AUTH_TOKEN=CLIENT_KEY, ANTHROPIC_MODEL=THINKING[thinking], ANTHROPIC_SMALL_FAST_MODEL='claude-haiku-4-5', MAX_THINKING_TOKENS='4000', **CLAUDE_QUIET)
        value = json.loads(out)
        value = value[-1] if isinstance(value, list) else value
        eq((value['is_error'], value['result']), (False, last), script.tail)
        assert value['usage']['input_tokens'] >= 24 and value['usage']['output_tokens'] >= 14, value['usage']
    script.check()


# ---- Codex ----

CODEX = '@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex'
# its documented switches: no analytics, no feedback, no look for updates
CODEX_CONFIG = '''
model = "{model}"
{provider}
model_reasoning_effort = "medium"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
[analytics]
enabled = false
[feedback]
enabled = false
'''
# What Codex declares depends on the model it believes to talk to: function tools alone; a free-form apply_patch among them;
# no `tools` at all, but one free-form tool that runs a script, in a namespace of `additional_tools`. The last one by Codex's
# own provider at another address, which is asked for a WebSocket first.
OWN = 'model_provider = "gateway"'
SHAPES = {'functions': ('an-unknown-model', OWN), 'apply_patch': ('gpt-5.5', OWN), 'script': ('gpt-6-sol', 'openai_base_url = "{url}/v1"')}

PATCH = '*** Begin Patch\n*** Add File: new.txt\n+as asked\n*** End Patch\n'


def codex_read(shape, kind):
    def read(name):
        is_free = kind == 'openai-responses'  # elsewhere a free-form tool is a function with one argument
        is_picture = name.endswith('.png')
        arguments = json.dumps({'path': name} if is_picture else {'cmd': f'cat {name}'})
        if shape == 'script':
            script = f'image(await tools.view_image({arguments}))' if is_picture else f'text((await tools.exec_command({arguments})).output)'
            return 'exec', script if is_free else json.dumps({'input': script})
        if shape == 'apply_patch' and is_picture:
            return 'apply_patch', PATCH if is_free else json.dumps({'input': PATCH})
        return 'view_image' if is_picture else 'exec_command', arguments
    return read


@cases(*(f'{shape} {kind}' for shape in SHAPES for kind in KINDS))
@limit(120)
def test_codex(case):
    shape, kind = case.split()
    model, address = SHAPES[shape]
    codex = program(CODEX)
    script = Script('openai-responses', kind, codex_read(shape, kind))
    os.makedirs(os.path.join(script.home, '.codex'))
    with open(os.path.join(script.home, '.codex/config.toml'), 'w') as file:
        url = script.gateway.url
        file.write(CODEX_CONFIG.format(model=model, url=url, provider=address.format(url=url)))
    session = None
    for i, last in enumerate((DONE, LAST)):
        options = ['--json', '--skip-git-repo-check']
        out = script.run([codex, 'exec', *(['resume', *options, session] if session else options), ASKED[i]], GATEWAY_KEY=CLIENT_KEY, CODEX_API_KEY=CLIENT_KEY)
        events = [json.loads(line) for line in out.splitlines()]
        done = [e['item'] for e in events if e['type'] == 'item.completed']
        session = [e['thread_id'] for e in events if e['type'] == 'thread.started'][0]
        said = [d['text'] for d in done if d['type'] == 'agent_message']
        eq(said[-1], last, script.tail)
        if i == 0:
            eq(said[0], READING, script.tail)
        if shape != 'script':  # in that one it asks for no summary
            eq([d['text'] for d in done if d['type'] == 'reasoning'], [words for words, _ in THOUGHTS[2 * i:2 * i + 2]], script.tail)
    script.check(pictures=shape != 'apply_patch')
    eq([line['status'] for line in script.gateway.lines() if line['method'] == 'GET'], [] if address == OWN else ['426'] * 2)
    eq(os.path.exists(script.path('new.txt')), shape == 'apply_patch')


# ---- Gemini CLI ----

GEMINI = '@google/gemini-cli/bundle/gemini.js'
# its documented switches: no statistics, no telemetry, no updates
GEMINI_SETTINGS = {'general': {'enableAutoUpdate': False, 'enableAutoUpdateNotification': False}, 'privacy': {'usageStatisticsEnabled': False}, 'telemetry': {'enabled': False}, 'security': {'auth': {'selectedType': 'gemini-api-key'}}}
# where an upstream's request has the schema of the answer by which the CLI chooses its model
SCHEMAS = {'openai': lambda body: body['response_format']['json_schema']['schema'], 'openai-responses': lambda body: body['text']['format']['schema'],
           'anthropic': lambda body: body['output_config']['format']['schema'], 'gemini': lambda body: body['generationConfig']['responseJsonSchema']}


@cases(*KINDS)
@limit(120)
def test_gemini_cli(kind):
    gemini = program(GEMINI)
    script = Script('gemini', kind, lambda name: ('read_file', json.dumps({'file_path': name})), forgets=True)
    os.makedirs(os.path.join(script.home, '.gemini'))
    with open(os.path.join(script.home, '.gemini/settings.json'), 'w') as file:
        json.dump(GEMINI_SETTINGS, file)
    for i, last in enumerate((DONE, LAST)):
        command = [NODE, gemini, '--yolo', '--skip-trust', '-o', 'json', '-m', 'auto', *(['--resume', 'latest'] if i else []), '-p', ASKED[i]]
        out = script.run(command, GEMINI_API_KEY=CLIENT_KEY, GOOGLE_GEMINI_BASE_URL=script.gateway.url, GEMINI_TELEMETRY_ENABLED='false', GEMINI_CLI_NO_RELAUNCH='true')
        eq(json.loads(out)['response'], last, script.tail)
    script.check()
    eq([sorted(SCHEMAS[kind](body)['properties']) for body in script.aside], [['complexity_reasoning', 'complexity_score']] * 2)
    eq(len(script.counted), 0 if kind == 'openai' else 1, 'it counts what a picture costs; Chat Completions cannot')
