"""Google's official clients (npm @google/genai, Python google-genai) through the gateway, in front of every upstream protocol and of echo."""
import json

from clients.node import node
from harness import CLIENT_KEY, PROMPT, Gateway, Reply, Usage, call, calls, cases, eq, limit, mock, provider, sub, text, think

KINDS = ('openai', 'openai-responses', 'anthropic', 'gemini')
SDKS = ('node', 'python')
HELLO = 'Grüße aus dem Mock: 世界 🌍, "quoted" \\ and\nlines. \u2028 end'
ARGUMENTS = '{"city":"Zürich \\"Hb\\"","n":[1,2.5,null,true,{"a":"\\u00e9\\n"}]}'
TOOLS = [{'functionDeclarations': [{'name': 'get_weather', 'description': 'Weather', 'parametersJsonSchema': {
    'type': 'object', 'properties': {'city': {'type': 'string'}}, 'required': ['city'], 'additionalProperties': False}},
    {'name': 'get_time', 'description': 'Time', 'parameters': {'type': 'OBJECT', 'properties': {'zone': {'type': 'STRING', 'nullable': True}}}}]}]


def run(sdk, list_of):
    """Each case's outcome."""
    if sdk == 'python':  # seconds of imports: run.py has done them for all tests
        from clients import genai
        return [genai.perform(one) for one in list_of]
    return node('genai.mjs', list_of)


def user(*parts):
    return {'role': 'user', 'parts': [{'text': p} if isinstance(p, str) else p for p in parts]}


@limit(120)
@cases(*[(f'{s} to {u}', s, u) for s in SDKS for u in KINDS])
def test_answers(case):
    _, sdk, kind = case
    up = mock(lenient=kind == 'gemini')  # its own clients' bytes pass unchanged, snake case and all
    gateway = Gateway(providers={'up': provider(up, kind)}, default_provider='up', api_keys=[CLIENT_KEY])

    def ask(mode, model, contents=None, config=None):
        return {'mode': mode, 'model': model, 'contents': contents or [user(PROMPT)], 'config': config, 'url': gateway.url, 'key': CLIENT_KEY}

    made = calls(('call_a1', 'get_weather', ARGUMENTS), ('call_b2', 'get_time', ''))
    up.on('hello', Reply(turn=text(HELLO, usage=Usage(input=20, output=9))))
    up.on('tools', Reply(turn=text('Let me see. ') + made))
    up.on('cut', Reply(turn=text('Beginning of an answer that breaks off'), cut={'openai': 4, 'openai-responses': 7, 'anthropic': 6, 'gemini': 3}[kind], pace=0.02))
    up.on('busy', Reply(status=429, message='slow down'))
    up.on('think', Reply(turn=think('a plan') + text('done')))
    config = {'systemInstruction': 'Be brief.', 'temperature': 0.5, 'maxOutputTokens': 500, 'tools': TOOLS}
    plain, streamed, tools_plain, tools_stream, cut, busy, chat, count, thoughts, hidden = run(sdk, [
        ask('plain', 'hello', config={'systemInstruction': 'Be brief.', 'maxOutputTokens': 500}), ask('stream', 'hello'), ask('plain', 'tools', config=config), ask('stream', 'tools', config=config),
        ask('stream', 'cut'), ask('plain', 'busy'), ask('chat', 'hello', contents=PROMPT), ask('count', 'hello'),
        ask('stream', 'think', config={'maxOutputTokens': 9000, 'thinkingConfig': {'includeThoughts': True, 'thinkingBudget': 2048}}), ask('plain', 'think')])
    for name, out in (('plain', plain), ('stream', streamed)):
        with sub(name):
            eq(out.get('error'), None)
            eq(out['text'], HELLO)
            eq(out['finish'], ['STOP'])
            eq(out['usage'], {'in': 20, 'out': 9})
    with sub('a stream comes in pieces'):
        assert streamed['chunks'] > 3, streamed['chunks']
    for name, out in (('tools plain', tools_plain), ('tools stream', tools_stream)):
        with sub(name):
            eq(out.get('error'), None)
            eq([c[1:] for c in out['calls']], [['get_weather', json.loads(ARGUMENTS)], ['get_time', {}]])
            assert all(c[0] for c in out['calls']) and out['calls'][0][0] != out['calls'][1][0], 'ids'
            eq(out['finish'], ['STOP'])
    with sub('broken off'):
        assert cut.get('error'), 'a truncated stream looked whole'
        eq(cut['finish'], [])
        if kind != 'gemini':  # there the bytes are the upstream's own
            assert 'closed the stream' in cut['error']['message'], cut['error']
    with sub('an error'):
        eq(busy['error']['status'], 429)
        assert 'slow down' in busy['error']['message'] or 'RESOURCE_EXHAUSTED' in busy['error']['message'], busy
    with sub('a second turn'):
        eq(chat['text'], HELLO)
        assert len(up.last('hello').body) > 0
    with sub('counting'):
        assert count['tokens'] > 0, count
    if kind in ('anthropic', 'gemini'):
        with sub('thoughts'):
            eq((thoughts['thinking'], thoughts['text']), ('a plan', 'done'))
    if kind == 'anthropic':
        with sub('no thoughts unasked'):
            eq((hidden['thinking'], hidden['text']), ('', 'done'))


@limit(120)
@cases(*[(f'{s} to {u}', s, u) for s in SDKS for u in KINDS])
def test_tool_loop(case):
    """Calls go back as the client got them, with their results: by id, or without."""
    _, sdk, kind = case
    up = mock(lenient=kind == 'gemini')  # its own clients' bytes pass unchanged, snake case and all
    gateway = Gateway(providers={'up': provider(up, kind)}, default_provider='up', api_keys=[CLIENT_KEY])
    first = Reply(turn=(think('hm') if kind == 'anthropic' else text('')) + calls(('call_a1', 'get_weather', ARGUMENTS), ('call_b2', 'get_weather', '{"city":"Bern"}')))
    up.on('loop', first)
    config = {'tools': TOOLS, 'maxOutputTokens': 9000}
    if kind == 'anthropic':
        config['thinkingConfig'] = {'thinkingBudget': 2048, 'includeThoughts': True}
    base = {'model': 'loop', 'config': config, 'url': gateway.url, 'key': CLIENT_KEY}
    made, = run(sdk, [{**base, 'mode': 'stream', 'contents': [user(PROMPT)]}])
    eq(made.get('error'), None)
    up.on('loop', Reply(turn=text('21 degrees')))
    results = [{'functionResponse': {'id': c[0], 'name': c[1], 'response': {'output': f'result {i}'}}} for i, c in enumerate(made['calls'])]
    bare = [{'functionResponse': {'name': c[1], 'response': {'output': f'result {i}'}}} for i, c in enumerate(made['calls'])]
    nameless = {'role': 'model', 'parts': [{**p, 'functionCall': {k: v for k, v in p['functionCall'].items() if k != 'id'}} if 'functionCall' in p else p for p in made['content']['parts']]}
    out, without = run(sdk, [{**base, 'mode': 'plain', 'contents': [user(PROMPT), made['content'], user(*results)]},
                             {**base, 'mode': 'plain', 'contents': [user(PROMPT), nameless, user(*bare)]}])
    for name, answer in (('with ids', out), ('without ids', without)):
        with sub(name):
            eq(answer.get('error'), None)
            eq(answer['text'], '21 degrees')
    for index in (-2, -1):
        with sub(f'request {index}'):
            body = json.dumps(up.seen[index].json, ensure_ascii=False)
            assert body.index('result 0') < body.index('result 1')
            if kind == 'anthropic':
                assert '"signature": "EqRs+/sigA=="' in body, 'the signature did not come back'


@limit(60)
@cases(*SDKS)
def test_echo(sdk):
    """The built-in provider answers without an account, streamed word by word."""
    gateway = Gateway(providers={'echo': {'kind': 'echo'}}, default_provider='echo')
    base = {'model': 'echo', 'url': gateway.url, 'key': 'none', 'contents': [user('one two three')]}
    plain, streamed, called, listed, counted = run(sdk, [
        {**base, 'mode': 'plain'}, {**base, 'mode': 'stream'},
        {**base, 'mode': 'stream', 'contents': [user('call get_time {"zone": "UTC"}')], 'config': {'tools': TOOLS}},
        {**base, 'mode': 'models'}, {**base, 'mode': 'count'}])
    eq((plain['text'], plain['finish']), ('one two three', ['STOP']))
    eq((streamed['text'], streamed['chunks'] >= 3), ('one two three', True))
    eq([c[1:] for c in called['calls']], [['get_time', {'zone': 'UTC'}]])
    assert 'models/echo' in listed['names'], listed
    assert counted['tokens'] > 0, counted
