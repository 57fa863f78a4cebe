"""The official clients (npm and Python) through the gateway: client protocol by upstream protocol, streamed and not, and what they ask for."""
import base64
import json

from clients.node import node
from harness import (CLIENT_KEY, PROMPT, UP_KEY, Gateway, Reply, Turn, Usage, call, calls, cases, eq, limit, mock, provider, redacted, sub, text, think)

PNG = base64.b64encode(bytes.fromhex('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c626001000000ffff03000006000557bfabd40000000049454e44ae426082')).decode()
PDF = base64.b64encode(b'%PDF-1.4 tiny').decode()
SCHEMA = {'type': 'object', 'properties': {'city': {'type': 'string'}, 'degrees': {'type': 'integer'}}, 'required': ['city', 'degrees'], 'additionalProperties': False}
WEATHER = {'type': 'object', 'properties': {'city': {'type': 'string'}, 'unit': {'type': 'string', 'enum': ['C', 'F']}}, 'required': ['city']}
CLOCK = {'type': 'object', 'properties': {'zone': {'type': 'string'}}}
HELLO = 'Grüße aus dem Mock: 世界 🌍, "quoted" \\ and\nlines. '
FINAL = 'It is 21 degrees. 完了'
ARGUMENTS = '{"city":"Zürich \\"Hb\\"","unit":"C","n":[1,2.5,null,true,{"a":"\\u00e9\\n"}]}'
RESULTS = {'get_weather': '21 degrees, sunny', 'get_time': '12:34'}
FINISH = {'openai': {'end': 'stop', 'length': 'length', 'calls': 'tool_calls', 'sequence': 'stop', 'filter': 'content_filter'},
          'anthropic': {'end': 'end_turn', 'length': 'max_tokens', 'calls': 'tool_use', 'sequence': 'stop_sequence', 'filter': 'refusal'}}


def ask(api, model, content=PROMPT, **more):
    params = {'model': model, 'messages': [{'role': 'user', 'content': content}]}
    if api == 'anthropic':
        params['max_tokens'] = 4096
    params.update(more)
    return params


def tools(api):
    if api == 'openai':
        return {'tools': [{'type': 'function', 'function': {'name': 'get_weather', 'description': 'Weather', 'parameters': WEATHER}},
                          {'type': 'function', 'function': {'name': 'get_time', 'description': 'Time', 'parameters': CLOCK}}]}
    return {'tools': [{'name': 'get_weather', 'description': 'Weather', 'input_schema': WEATHER}, {'name': 'get_time', 'description': 'Time', 'input_schema': CLOCK}]}


def after_results(turn):
    """The first request gets the turn, the one with tool results the final text."""
    def choose(request):
        body = request.json
        last = body['messages'][-1]
        has_results = last['role'] == 'tool' or (isinstance(last['content'], list) and any(p.get('type') == 'tool_result' for p in last['content']))
        return text(FINAL) if has_results else turn
    return choose


# ---- scenes: what the upstream says, what the client asks, what must come out -----------------------------------

class Scene:
    """params(api) -> the request; turn: what the mock says; check(out, seen, api, upstream): more than the common checks."""

    def __init__(self, params, turn, check=None, results=None, modes=('plain', 'stream', 'helper'), upstreams=('openai', 'anthropic')):
        self.params, self.turn, self.check, self.results, self.modes, self.upstreams = params, turn, check, results, modes, upstreams


def check_image(out, seen, api, upstream):
    data = json.dumps(seen[0].json)
    assert PNG in data, 'the image did not arrive'
    assert 'image/png' in data


def check_document(out, seen, api, upstream):
    assert PDF in json.dumps(seen[0].json), 'the document did not arrive'


def check_single(out, seen, api, upstream):
    made = out['first']['calls']
    eq(made[0][0], 'toolu_01A-x' if upstream == 'anthropic' else 'call_a1')
    assert RESULTS['get_weather'] in json.dumps(seen[1].json)
    eq(out['second']['text'], FINAL)


def check_parallel(out, seen, api, upstream):
    eq([c[1] for c in out['first']['calls']], ['get_weather', 'get_time', 'get_weather'])
    eq(len(set(c[0] for c in out['first']['calls'])), 3, 'ids')
    eq(out['first']['calls'][1][2], {}, 'a call without arguments')
    body = json.dumps(seen[1].json)
    for result in RESULTS.values():
        assert result in body
    eq(out['second']['text'], FINAL)


def check_thinking(out, seen, api, upstream):
    first = out['first']
    if not (api == 'openai' and out['mode'] == 'helper'):  # a member the OpenAI clients' helpers do not know
        eq(first['thinking'], 'Let me think about it, 考え. ')
    if api == 'anthropic' and upstream == 'anthropic':
        eq(first['signature'], 'EqRs+/sigA==')
        eq(first['blocks'], ['thinking', 'text'])
    if upstream == 'anthropic':
        assert seen[0].json['thinking']['type'] in ('enabled', 'adaptive'), seen[0].json
    else:
        assert seen[0].json.get('reasoning_effort'), seen[0].json


def check_thinking_loop(out, seen, api, upstream):
    """Signatures come back byte for byte with the tool's result, or their block does not come back at all."""
    eq(out['second']['text'], FINAL)
    if api == 'anthropic' and upstream == 'anthropic':
        turn = seen[1].json['messages'][1]['content']
        eq([b['type'] for b in turn], ['thinking', 'redacted_thinking', 'tool_use'])
        eq(turn[0]['signature'], 'EqRs+/sigA==')
        eq(turn[0]['thinking'], 'Which tool? ')
        eq(turn[1]['data'], 'ZW5jcnlwdGVk')


def check_json(out, seen, api, upstream):
    eq(json.loads(out['first']['text']), {'city': 'Bern', 'degrees': 21})
    if 'parsed' in out['first'] and out['first']['parsed'] is not None:
        eq(out['first']['parsed'], {'city': 'Bern', 'degrees': 21})
    body = seen[0].json
    schema = body['output_config']['format']['schema'] if upstream == 'anthropic' else body['response_format']['json_schema']['schema']
    eq(set(schema['properties']), {'city', 'degrees'})


def check_stop(out, seen, api, upstream):
    body = seen[0].json
    eq(body.get('stop') if upstream == 'openai' else body.get('stop_sequences'), ['END', 'STOP'])


def check_system(out, seen, api, upstream):
    body = seen[0].json
    if upstream == 'anthropic':
        system = body['system'] if isinstance(body['system'], str) else ''.join(b['text'] for b in body['system'])
        assert 'Be brief.' in system and 'Be kind.' in system, system
        roles = [m['role'] for m in body['messages']]
    else:
        roles = [m['role'] for m in body['messages'] if m['role'] not in ('system', 'developer')]
        assert 'Be brief.' in json.dumps(body['messages'][0])
    eq(roles, ['user', 'assistant', 'user'])


def check_sampling(out, seen, api, upstream):
    body = seen[0].json
    if api == 'openai':  # the Anthropic clients of this age know no temperature any more
        eq(body['temperature'], 0.5)
    eq(body.get('max_tokens') or body.get('max_completion_tokens'), 321)


SCENES = {
    'text': Scene(lambda api: ask(api, 'text'), text(HELLO + 'x', usage=Usage(12, 3, 0, 9, 0))),
    'system and history': Scene(lambda api: ask(api, 'system', messages=[*([{'role': 'system', 'content': 'Be brief.'}, {'role': 'developer', 'content': 'Be kind.'}] if api == 'openai' else []),
                                                                         {'role': 'user', 'content': PROMPT}, {'role': 'assistant', 'content': 'Hello.'}, {'role': 'user', 'content': 'Go on.'}],
                                                **({} if api == 'openai' else {'system': [{'type': 'text', 'text': 'Be brief.'}, {'type': 'text', 'text': 'Be kind.'}]})),
                                text('Yes.'), check_system, modes=('plain', 'stream')),
    'sampling': Scene(lambda api: ask(api, 'sampling', **({'temperature': 0.5, 'max_completion_tokens': 321} if api == 'openai' else {'max_tokens': 321})), text('ok'), check_sampling, modes=('plain',)),
    'one tool': Scene(lambda api: ask(api, 'tool', **tools(api)), lambda up: call('toolu_01A-x' if up == 'anthropic' else 'call_a1', 'get_weather', ARGUMENTS), check_single, RESULTS),
    'text and tool': Scene(lambda api: ask(api, 'texttool', **tools(api)), text('I look it up. ') + call('call_b1', 'get_weather', ARGUMENTS), lambda o, *r: eq(o['second']['text'], FINAL), RESULTS),
    'parallel tools': Scene(lambda api: ask(api, 'tools', **tools(api)), calls(('c1', 'get_weather', ARGUMENTS), ('c2', 'get_time', ''), ('c3', 'get_weather', '{"city":"Bern"}')), check_parallel, RESULTS),
    'interleaved tools': Scene(lambda api: ask(api, 'interleaved', **tools(api)), calls(('c1', 'get_weather', ARGUMENTS), ('c2', 'get_time', '{"zone": "CET"}'), ('c3', 'get_weather', '{"city":"Bern"}'), interleave=True),
                               lambda o, *r: eq(o['second']['text'], FINAL), RESULTS, modes=('stream', 'helper'), upstreams=('openai',)),
    'forced tool': Scene(lambda api: ask(api, 'forced', **tools(api), tool_choice={'type': 'function', 'function': {'name': 'get_weather'}} if api == 'openai' else {'type': 'tool', 'name': 'get_weather'}),
                         call('c9', 'get_weather', '{"city":"Bern"}'),
                         lambda o, s, a, u: eq(s[0].json['tool_choice'], {'type': 'function', 'function': {'name': 'get_weather'}} if u == 'openai' else {'type': 'tool', 'name': 'get_weather'}), modes=('plain',)),
    'image': Scene(lambda api: ask(api, 'image', [{'type': 'text', 'text': PROMPT}, {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,' + PNG}} if api == 'openai'
                                                 else {'type': 'image', 'source': {'type': 'base64', 'media_type': 'image/png', 'data': PNG}}]), text('A pixel.'), check_image, modes=('plain', 'stream')),
    'document': Scene(lambda api: ask(api, 'document', [{'type': 'file', 'file': {'filename': 'a.pdf', 'file_data': 'data:application/pdf;base64,' + PDF}} if api == 'openai'
                                                       else {'type': 'document', 'source': {'type': 'base64', 'media_type': 'application/pdf', 'data': PDF}}, {'type': 'text', 'text': PROMPT}]),
                      text('A page.'), check_document, modes=('plain',)),
    'thinking': Scene(lambda api: ask(api, 'thinking', **({'reasoning_effort': 'medium'} if api == 'openai' else {'max_tokens': 8000, 'thinking': {'type': 'enabled', 'budget_tokens': 2048}})),
                      think('Let me think about it, 考え. ') + text('Done.'), check_thinking),
    'thinking in a tool loop': Scene(lambda api: ask(api, 'thinkloop', **tools(api), **({'reasoning_effort': 'medium'} if api == 'openai' else {'max_tokens': 8000, 'thinking': {'type': 'enabled', 'budget_tokens': 2048}})),
                                     think('Which tool? ') + redacted() + call('toolu_x1', 'get_weather', ARGUMENTS), check_thinking_loop, RESULTS, upstreams=('anthropic',)),
    'structured output': Scene(lambda api: ask(api, 'json', **({'response_format': {'type': 'json_schema', 'json_schema': {'name': 'answer', 'schema': SCHEMA, 'strict': True}}} if api == 'openai'
                                                              else {'output_config': {'format': {'type': 'json_schema', 'schema': SCHEMA}}})), text('{"city":"Bern","degrees":21}'), check_json, modes=('plain', 'stream', 'parse')),
    'stop by length': Scene(lambda api: ask(api, 'length'), text('Cut of', stop='length'), modes=('plain', 'stream')),
    'stop sequence': Scene(lambda api: ask(api, 'sequence', **({'stop': ['END', 'STOP']} if api == 'openai' else {'stop_sequences': ['END', 'STOP']})), text('Until ', stop='sequence', sequence='END'), check_stop, modes=('plain', 'stream')),
    'usage with caches': Scene(lambda api: ask(api, 'usage'), lambda up: text('Counted.', usage=Usage(100, 40, 0 if up == 'openai' else 20, 33, 8 if up == 'openai' else 0))),
}


def expected_usage(api, turn, upstream, one):
    u = turn.usage
    if api == 'openai':
        return {'in': u.input + u.cached + u.written, 'out': u.output, 'cached': u.cached, 'reasoning': u.reasoning}
    # Chat Completions counts what was written to a cache as input
    return {'in': u.input if upstream == 'anthropic' else u.input + u.written, 'out': u.output, 'cached': u.cached, 'written': u.written if upstream == 'anthropic' else 0}


def check_common(out, one, scene, turn, api, upstream, seen):
    assert 'error' not in out, f"{out['error']['class']}: {out['error']['message']}\n{out['error'].get('stack', '')}"
    first, out['mode'] = out['first'], one['mode']
    eq(first['text'], turn.text(), 'text')
    eq(first['model'], one['params']['model'], 'model')
    reason = turn.reason
    want = FINISH[api][reason]
    if reason == 'sequence' and upstream == 'openai':
        want = FINISH[api]['end']  # Chat Completions does not say which
    eq(first['finish'], want, 'finish')
    if not (one.get('mode') in ('helper', 'stream') and first.get('usage') is None and one.get('usage') is False):
        if not (api == 'openai' and one['mode'] == 'helper'):
            eq(first['usage'], expected_usage(api, turn, upstream, one), 'usage')
    want_calls = [[p[1], p[2], json.loads(''.join(p[3]) or '{}')] for p in turn.parts if p[0] == 'call']
    eq([[n, a] for _, n, a in first['calls']], [[n, a] for _, n, a in want_calls], 'calls')
    if one['mode'] == 'stream' and api == 'openai' and turn.text():
        assert first['chunks'] > 2, 'not streamed'
    assert not any(r.problem for r in seen), [r.problem for r in seen]
    for request in seen:
        eq(bool(request.json.get('stream')), one['mode'] in ('stream', 'helper'), 'stream upstream')
    if scene.check:
        scene.check(out, seen, api, upstream)


def run_cases(language, cases_of):
    """Each case's outcome by the case's name."""
    if language == 'python':
        from clients.sdk import perform
        return {c['name']: perform(c) for c in cases_of}
    return {c['name']: out for c, out in zip(cases_of, node('sdk.mjs', cases_of))}


def base_of(gateway, api):
    return gateway.url + ('/v1' if api == 'openai' else '')


MATRIX = [(f'{language} {api} to {upstream}', language, api, upstream) for language in ('node', 'python') for api in ('openai', 'anthropic') for upstream in ('openai', 'anthropic')]


@cases(*MATRIX)
@limit(60)
def test_matrix(case):
    _, language, api, upstream = case
    up = mock()
    gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up', api_keys=[CLIENT_KEY])
    todo = []
    for name, scene in SCENES.items():
        if upstream not in scene.upstreams:
            continue
        turn = scene.turn(upstream) if callable(scene.turn) else scene.turn
        for mode in scene.modes:
            params = scene.params(api)
            params['model'] = f'{"claude-haiku-4-5-" if upstream == "anthropic" else ""}{params["model"]}-{mode}'
            up.on(params['model'], after_results(turn) if scene.results else turn)
            todo.append({'name': f'{name}, {mode}', 'api': api, 'base': base_of(gateway, api), 'key': CLIENT_KEY, 'mode': mode, 'params': params, 'results': scene.results,
                         'scene': name, 'turn': turn})
    lines = run_cases(language, [{k: v for k, v in one.items() if k not in ('turn', 'scene')} for one in todo])
    for one in todo:
        with sub(one['name']):
            seen = [r for r in up.seen if r.model == one['params']['model']]
            out = lines.get(one['name'])
            assert out, 'no outcome'
            check_common(out, one, SCENES[one['scene']], one['turn'], api, upstream, seen)
    up.expect_problems = True  # reported by the cases above
    for request in up.seen:
        assert CLIENT_KEY not in request.head.decode('latin-1'), 'the client\'s key went upstream'
        assert UP_KEY in request.head.decode('latin-1')


ERROR_ROWS = [  # upstream status -> (status, type, code) for an OpenAI client, (status, type) for an Anthropic one
    (400, (400, 'invalid_request_error'), (400, 'invalid_request_error')),
    (401, (502, 'server_error'), (502, 'api_error')),
    (403, (403, 'invalid_request_error'), (403, 'permission_error')),
    (404, (404, 'invalid_request_error'), (404, 'not_found_error')),
    (429, (429, 'rate_limit_error'), (429, 'rate_limit_error')),
    (500, (500, 'server_error'), (500, 'api_error')),
    (503, (503, 'server_error'), (529, 'overloaded_error')),
    (529, (503, 'server_error'), (529, 'overloaded_error')),
]


@cases(*MATRIX)
@limit(60)
def test_errors(case):
    _, language, api, upstream = case
    up = mock()
    todo = []
    relayed = api == upstream
    rule = {'retry': {'attempts': 1, 'base_delay_ms': 1}}
    gateway = Gateway(providers={f'p{s}{m}': provider(up, upstream, **rule) for s, *_ in ERROR_ROWS for m in ('plain', 'stream')} | {'mid': provider(up, upstream, **rule)}, default_provider='mid', api_keys=[CLIENT_KEY])
    for status, *_ in ERROR_ROWS:
        up.on(f'e{status}', Reply(status=status, message=f'said {status}', headers={'retry-after': '7'} if status == 429 else {}))
    up.on('mid', Reply(turn=text('Beginning of an answer that breaks off'), break_at=5, message='broke midway'))
    up.on('cut', Reply(turn=text('Beginning of an answer that breaks off'), cut=5))
    for mode in ('plain', 'stream'):
        for status, *_ in ERROR_ROWS:
            todo.append({'name': f'{status}, {mode}', 'api': api, 'base': f'{gateway.url}/p{status}{mode}' + ('/v1' if api == 'openai' else ''), 'key': CLIENT_KEY, 'mode': mode, 'params': ask(api, f'e{status}')})
    for kind in ('mid', 'cut'):
        for mode in ('stream', 'helper'):
            todo.append({'name': f'{kind}, {mode}', 'api': api, 'base': base_of(gateway, api), 'key': CLIENT_KEY, 'mode': mode, 'params': ask(api, kind)})
    todo.append({'name': 'wrong key', 'api': api, 'base': base_of(gateway, api), 'key': 'sk-wrong', 'mode': 'plain', 'params': ask(api, 'x')})
    lines = run_cases(language, todo)
    for status, of_openai, of_anthropic in ERROR_ROWS:
        for mode in ('plain', 'stream'):
            with sub(f'{status}, {mode}'):
                error = lines[f'{status}, {mode}'].get('error')
                assert error, f'no error: {lines[f"{status}, {mode}"]}'
                want = of_openai if api == 'openai' else of_anthropic
                if relayed and status != 401:
                    eq(error['status'], status)  # its own words
                else:
                    eq((error['status'], error['type']), want, error['message'])
                assert f'said {status}' in error['message'] or status == 401, error['message']
                if status == 429:
                    eq(error['retry'], '7')
                assert UP_KEY not in error['message']
    for kind in ('mid', 'cut'):
        for mode in ('stream', 'helper'):
            with sub(f'{kind}, {mode}'):
                error = lines[f'{kind}, {mode}'].get('error')
                assert error, f'a broken stream passed for a whole one: {lines[f"{kind}, {mode}"]}'
                assert error['class'] in ('APIError', 'APIStatusError', 'APIConnectionError', 'OverloadedError', 'InternalServerError', 'AnthropicError'), error
                if kind == 'mid':
                    assert 'broke midway' in error['message'], error
    with sub('wrong key'):
        error = lines['wrong key']['error']
        eq((error['status'], error['class']), (401, 'AuthenticationError'))
        eq(error['type'], 'invalid_request_error' if api == 'openai' else 'authentication_error')


@cases(*[(f'{l} {a}', l, a) for l in ('node', 'python') for a in ('openai', 'anthropic')])
@limit(60)
def test_echo(case):
    """The embedded provider: no account, the prompt's own words."""
    _, language, api = case
    gateway = Gateway(providers={'echo': {'kind': 'echo'}}, default_provider='echo')
    todo = []
    for mode in ('plain', 'stream', 'helper'):
        todo.append({'name': f'text, {mode}', 'mode': mode, 'params': ask(api, 'any', 'one two  three\nfür 世界')})
        todo.append({'name': f'tool, {mode}', 'mode': mode, 'params': ask(api, 'any', 'call get_weather {"city": "Bern"}', **tools(api))})
        todo.append({'name': f'not offered, {mode}', 'mode': mode, 'params': ask(api, 'any', 'call rm {"x": 1}', **tools(api))})
    lines = run_cases(language, [dict(one, api=api, base=base_of(gateway, api), key='none') for one in todo])
    for mode in ('plain', 'stream', 'helper'):
        with sub(f'text, {mode}'):
            out = lines[f'text, {mode}']
            assert 'error' not in out, out
            eq(' '.join(out['first']['text'].split()), 'one two three für 世界')
            eq(out['first']['finish'], FINISH[api]['end'])
            if out['first'].get('usage'):
                assert out['first']['usage']['in'] > 0 and out['first']['usage']['out'] > 0
        with sub(f'tool, {mode}'):
            out = lines[f'tool, {mode}']
            assert 'error' not in out, out
            eq([c[1:] for c in out['first']['calls']], [['get_weather', {'city': 'Bern'}]])
            eq(out['first']['finish'], FINISH[api]['calls'])
        with sub(f'not offered, {mode}'):
            out = lines[f'not offered, {mode}']
            assert 'error' not in out, out
            eq(out['first']['calls'], [])


@cases('node', 'python')
def test_lists_and_counts(language):
    """models.list of both clients (Anthropic's pages until has_more is false), count_tokens."""
    up = mock()
    gateway = Gateway(providers={'o': provider(up, 'openai', models=['gpt-a', 'org/model-b']), 'a': provider(up, 'anthropic', models=['claude-a'])},
                      routes=[{'model': 'fast', 'to': ['o/gpt-a']}, {'model': 'claude-*', 'to': ['a']}], default_provider='o')
    lines = run_cases(language, [
        {'name': 'openai', 'api': 'openai', 'mode': 'models', 'base': base_of(gateway, 'openai'), 'key': 'k'},
        {'name': 'anthropic', 'api': 'anthropic', 'mode': 'models', 'base': base_of(gateway, 'anthropic'), 'key': 'k'},
        {'name': 'count, same', 'api': 'anthropic', 'mode': 'count', 'base': base_of(gateway, 'anthropic'), 'key': 'k', 'params': {'model': 'claude-a', 'messages': [{'role': 'user', 'content': PROMPT}]}},
        {'name': 'count, estimate', 'api': 'anthropic', 'mode': 'count', 'base': base_of(gateway, 'anthropic'), 'key': 'k', 'params': {'model': 'gpt-a', 'messages': [{'role': 'user', 'content': 'x' * 4000}]}}])
    for api in ('openai', 'anthropic'):
        with sub(f'models, {api}'):
            assert 'error' not in lines[api], lines[api]
            for name in ('gpt-a', 'org/model-b', 'claude-a', 'fast'):
                assert name in lines[api]['models'], lines[api]['models']
            eq(len(set(lines[api]['models'])), len(lines[api]['models']), 'unique')
    with sub('count, same protocol'):
        eq(lines['count, same'].get('count'), 2095)
    with sub('count, estimate'):
        assert 900 <= lines['count, estimate'].get('count', 0) <= 1200, lines['count, estimate']


@cases('node', 'python')
def test_hidden_usage(language):
    """A stream whose client did not ask for usage gets no usage chunk, though the upstream was asked."""
    up = mock()
    gateway = Gateway(providers={'up': provider(up)}, default_provider='up')
    lines = run_cases(language, [{'name': 'x', 'api': 'openai', 'mode': 'stream', 'usage': False, 'base': base_of(gateway, 'openai'), 'key': 'k', 'params': ask('openai', 'm')}])
    assert 'error' not in lines['x'], lines['x']
    assert lines['x']['first'].get('usage') is None
    eq(up.last().json['stream_options'], {'include_usage': True})
    assert int(gateway.line()['tokens_out']) == 7


@cases('node', 'python')
def test_sdk_retries(language):
    """The clients' own retry logic reads our headers: a 429 with retry-after comes through on their second try."""
    up = mock()
    up.on('again', Reply(status=429, headers={'retry-after': '0'}), text('At last.'))
    gateway = Gateway(providers={'up': provider(up, retry={'attempts': 1})}, default_provider='up')
    todo = [{'name': api, 'api': api, 'mode': 'plain', 'retries': 2, 'base': base_of(gateway, api), 'key': 'k', 'params': ask(api, 'again')} for api in ('openai',)]
    lines = run_cases(language, todo)
    for api in ('openai',):
        assert 'error' not in lines[api], lines[api]
        eq(lines[api]['first']['text'], 'At last.')


def ask_responses(model, content=PROMPT, **more):
    return dict({'model': model, 'input': [{'role': 'user', 'content': content}], 'store': False}, **more)


RESPONSE_TOOLS = [{'type': 'function', 'name': 'get_weather', 'description': 'Weather', 'parameters': WEATHER, 'strict': False}, {'type': 'function', 'name': 'get_time', 'description': 'Time', 'parameters': CLOCK, 'strict': False}]


def after_outputs(turn):
    """The first request gets the turn, the one with its results the final text; in any protocol."""
    return lambda request: text(FINAL) if any(r in request.body.decode() for r in ('sunny', '12:34')) else turn


RESPONSE_SCENES = {  # name: (params, turn, results, modes)
    'text': (lambda m: ask_responses(m, instructions='Be brief.'), text(HELLO + 'x', usage=Usage(12, 3, 0, 9, 0)), None, ('plain', 'stream', 'helper')),
    'one tool': (lambda m: ask_responses(m, tools=RESPONSE_TOOLS), call('call_a1', 'get_weather', ARGUMENTS), RESULTS, ('plain', 'stream', 'helper')),
    'parallel tools': (lambda m: ask_responses(m, tools=RESPONSE_TOOLS), text('I look. ') + calls(('c1', 'get_weather', ARGUMENTS), ('c2', 'get_time', '{}'), ('c3', 'get_weather', '{"city":"Bern"}')), RESULTS, ('plain', 'stream', 'helper')),
    'reasoning': (lambda m: ask_responses(m, reasoning={'effort': 'medium', 'summary': 'auto'}, include=['reasoning.encrypted_content']), think('Let me think about it, 考え. ') + text('Done.'), None, ('plain', 'stream', 'helper')),
    'reasoning in a tool loop': (lambda m: ask_responses(m, tools=RESPONSE_TOOLS, reasoning={'effort': 'medium', 'summary': 'auto'}, include=['reasoning.encrypted_content']), think('Which tool? ') + call('call_x1', 'get_weather', ARGUMENTS), RESULTS, ('plain', 'stream')),
    'structured output': (lambda m: ask_responses(m, text={'format': {'type': 'json_schema', 'name': 'answer', 'schema': SCHEMA, 'strict': True}}), text('{"city":"Bern","degrees":21}'), None, ('plain', 'parse')),
    'stop by length': (lambda m: ask_responses(m, max_output_tokens=50), text('Cut of', stop='length'), None, ('plain', 'stream')),  # the Python helper knows no response.incomplete
}


@cases(*[(f'{l} to {u}', l, u) for l in ('node', 'python') for u in ('openai', 'openai-responses', 'anthropic', 'gemini')])
@limit(60)
def test_responses(case):
    """client.responses of the OpenAI clients, raw events and the typed helper, with each upstream."""
    _, language, upstream = case
    up = mock()
    gateway = Gateway(providers={'up': provider(up, upstream, retry={'attempts': 1})}, default_provider='up', api_keys=[CLIENT_KEY])
    todo = []
    for name, (params, turn, results, modes) in RESPONSE_SCENES.items():
        for mode in modes:
            model = f'{"claude-haiku-4-5-" if upstream == "anthropic" else ""}{name.replace(" ", "-")}-{mode}'
            up.on(model, after_outputs(turn) if results else turn)
            todo.append({'name': f'{name}, {mode}', 'api': 'responses', 'base': base_of(gateway, 'openai'), 'key': CLIENT_KEY, 'mode': mode, 'params': params(model), 'results': results})
    up.on('cut', Reply(turn=text('Beginning of an answer that breaks off'), cut={'openai': 4, 'openai-responses': 7, 'anthropic': 6, 'gemini': 3}[upstream], pace=0.02))
    for mode in ('stream', 'helper'):
        todo.append({'name': f'cut, {mode}', 'api': 'responses', 'base': base_of(gateway, 'openai'), 'key': CLIENT_KEY, 'mode': mode, 'params': ask_responses('cut')})
    lines = run_cases(language, todo)
    for one in todo:
        with sub(one['name']):
            out = lines.get(one['name'])
            assert out, 'no outcome'
            if one['name'].startswith('cut'):
                assert 'error' in out, f'a broken stream passed for a whole one: {out}'
                continue
            seen = [r for r in up.seen if r.model == one['params']['model']]
            assert not any(r.problem for r in seen), [r.problem for r in seen]
            assert 'error' not in out, f"{out['error']['class']}: {out['error']['message']}\n{out['error'].get('stack', '')}"
            scene = one['name'].rsplit(', ', 1)[0]
            turn, first = RESPONSE_SCENES[scene][1], out['first']
            eq(first['text'], turn.text(), 'text')
            eq(first['thinking'], turn.thinking(), 'reasoning')
            eq(first['model'], one['params']['model'])
            eq(first['finish'], 'incomplete' if turn.reason == 'length' else 'completed')
            eq([[n, a] for _, n, a in first['calls']], [[p[2], json.loads(''.join(p[3]) or '{}')] for p in turn.parts if p[0] == 'call'])
            u = turn.usage
            eq(first['usage'], {'in': u.input + u.cached + u.written, 'out': u.output, 'cached': u.cached, 'reasoning': u.reasoning}, 'usage')
            if one['results']:
                eq(out['second']['text'], FINAL)
            if one['mode'] == 'parse':
                eq(first['parsed'], {'city': 'Bern', 'degrees': 21})
            if scene == 'reasoning in a tool loop' and upstream == 'anthropic':
                blocks = seen[1].json['messages'][1]['content']
                eq([b['type'] for b in blocks], ['thinking', 'tool_use'])
                eq(blocks[0]['signature'], 'EqRs+/sigA==', 'the signature came back sealed in encrypted_content')
            if scene == 'reasoning in a tool loop' and upstream == 'openai-responses':
                back = [i for i in seen[1].json['input'] if i.get('type') == 'reasoning']
                eq(back[0]['encrypted_content'], 'gAAAAEqRs+/sigA==')
    up.expect_problems = True  # reported by the cases above
