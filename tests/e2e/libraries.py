"""The libraries that speak every protocol themselves (AI SDK, LangChain) through the gateway: one table of scenes in no library's words, each with what
the upstream must have been asked and what the library must have made of the answer. test_aisdk.py and test_langchain.py say what is particular to each."""
import json
import sys

from clients.node import node
from harness import CLIENT_KEY, PROMPT, Gateway, Reply, Usage, call, calls, cases, eq, limit, mock, provider, sub, text, think
from test_sdk import ARGUMENTS, CLOCK, FINAL, HELLO, PDF, PNG, SCHEMA, WEATHER

UPSTREAMS = ('openai', 'openai-responses', 'anthropic', 'gemini')
KIND = {'openai': 'openai', 'compatible': 'openai', 'responses': 'openai-responses', 'anthropic': 'anthropic', 'gemini': 'gemini'}  # of what a library's client speaks
# Models whose names tell the libraries, and the gateway's profiles, what they can do.
MODEL = {'openai': 'gpt-5.2-', 'responses': 'gpt-5.2-', 'openai-responses': 'gpt-5.2-', 'compatible': 'any-', 'anthropic': 'claude-haiku-4-5-', 'gemini': 'gemini-2.5-flash-'}
NEWER = {'openai': 'gpt-5.2-', 'responses': 'gpt-5.2-', 'openai-responses': 'gpt-5.2-', 'compatible': 'any-', 'anthropic': 'claude-opus-4-6-', 'gemini': 'gemini-3-pro-'}  # adaptive thinking, levels
PROFILES = {'gpt-*': {'oc.flavour': 'openai'}}  # as at OpenAI's own address
SIGNATURE = 'EqRs+/sigA=='
TOOLS = [{'name': 'get_weather', 'description': 'Weather', 'schema': WEATHER}, {'name': 'get_time', 'description': 'Time', 'schema': CLOCK}]
RESULTS = {'get_weather': {'text': '21 degrees, sunny'}, 'get_time': {'text': '12:34'}}
ANSWER = {'city': 'Bern', 'degrees': 21}


def ask(content=PROMPT, **more):
    return dict({'messages': [{'role': 'user', 'content': content}], 'max': 4000}, **more)


def with_tools(results=RESULTS, **more):
    return ask(tools=TOOLS, results=results, **more)


def declared(request):
    """Names of the tools a request offers, in any protocol."""
    tools = request.json.get('tools') or []
    return [f.get('name') or f['function']['name'] for t in tools for f in t.get('functionDeclarations', [t])]


def structured(request):
    """What a model does with a schema: fills the tool that carries it, or answers in it."""
    return call('call_s1', declared(request)[0], json.dumps(ANSWER)) if declared(request) else text(json.dumps(ANSWER))


def conversation(upstream, body):
    """(role, text) of the turns after the system prompt, and the system prompt's text."""
    if upstream == 'gemini':
        return [(c['role'], ''.join(p.get('text', '') for p in c['parts'])) for c in body['contents']], json.dumps(body['systemInstruction'])
    items = body['input'] if upstream == 'openai-responses' else body['messages']

    def words(content):
        return content if isinstance(content, str) else ''.join(p.get('text', '') for p in content)
    system = body.get('system') or body.get('instructions') or ''.join(words(m['content']) for m in items if m['role'] in ('system', 'developer'))
    return [(m['role'], words(m['content'])) for m in items if m['role'] not in ('system', 'developer')], json.dumps(system)


def secrets(upstream, body):
    """What of a model's hidden state comes back to it with its call."""
    if upstream == 'anthropic':
        return [b.get('signature') for m in body['messages'] if m['role'] == 'assistant' for b in m['content'] if b['type'] == 'thinking']
    if upstream == 'openai-responses':
        return [i.get('encrypted_content') for i in body['input'] if i.get('type') == 'reasoning']
    if upstream == 'gemini':
        return [p['thoughtSignature'] for c in body['contents'] for p in c['parts'] if 'thoughtSignature' in p]
    return []


SECRET = {'anthropic': [SIGNATURE], 'openai-responses': ['gAAAA' + SIGNATURE], 'gemini': [SIGNATURE], 'openai': []}


# ---- what must have been asked, and answered ------------------------------------------------------------------------

def check_turns(out, seen, one):
    turns, system = conversation(one.upstream, seen[0].json)
    eq(turns, [('user', PROMPT), ('model' if one.upstream == 'gemini' else 'assistant', 'Hello.'), ('user', 'Go on.')])
    assert 'Be brief.' in system, system


def check_image(out, seen, one):
    data = json.dumps(seen[0].json)
    assert PNG in data and 'image/png' in data, 'the image did not arrive'


def check_document(out, seen, one):
    data = json.dumps(seen[0].json)
    assert PDF in data and 'application/pdf' in data, 'the document did not arrive'


def check_loop(out, seen, one):
    eq(len(seen), len(one.scene.rounds) + 1, 'requests')
    eq(out['steps'][-1]['text'], FINAL)
    body = json.dumps(seen[-1].json)
    calls_made = [c for step in out['steps'] for c in step['calls']]
    at = 0
    for _, name, _ in calls_made:  # each in its call's place
        words = spoken(one.scene.asks['results'][name])
        assert words in body[at:], f'{words} did not arrive in order'
        at = body.index(words, at) + 1
    eq(len({c[0] for c in calls_made}), len(calls_made), 'ids')


def check_streamed(out, seen, one):
    check_loop(out, seen, one)
    if one.mode == 'stream' and one.api != 'gemini' and one.upstream != 'gemini':  # where calls come whole
        assert out['deltas'] > 5, f"arguments in {out['deltas']} pieces"


def check_reasoning_loop(out, seen, one):
    check_loop(out, seen, one)
    eq(secrets(one.upstream, seen[-1].json), SECRET[one.upstream] * len(one.scene.rounds), 'what the model hid came back')


def check_reasoning(out, seen, one):
    body = seen[0].json
    asked = {'openai': lambda: body['reasoning_effort'], 'openai-responses': lambda: body['reasoning']['effort'], 'anthropic': lambda: body['thinking']['budget_tokens'],
             'gemini': lambda: body['generationConfig']['thinkingConfig']['includeThoughts']}
    assert asked[one.upstream](), body


def check_limits(out, seen, one):
    body = json.dumps(seen[0].json)
    assert '321' in body, body
    if 'openai-responses' not in (KIND[one.api], one.upstream) and not MODEL[one.upstream].startswith('gpt-5'):
        assert 'STOP HERE' in body, body


def check_forced(out, seen, one):
    choice = {'openai': ['tool_choice', 'function', 'name'], 'openai-responses': ['tool_choice', 'name'], 'anthropic': ['tool_choice', 'name'], 'gemini': ['toolConfig', 'functionCallingConfig', 'allowedFunctionNames', 0]}
    value = seen[0].json
    for step in choice[one.upstream]:
        value = value[step]
    eq(value, 'get_time')


def check_structured(out, seen, one):
    eq(out['parsed'], ANSWER)
    body = json.dumps(seen[0].json)
    assert '"city"' in body and '"degrees"' in body, 'the schema did not arrive'


def check_image_result(out, seen, one):
    check_loop(out, seen, one)
    assert PNG in json.dumps(seen[1].json), 'the image did not arrive'


def check_failure(out, seen, one):
    """Where a library has no way to say that a tool failed, its words are all there is."""
    check_loop(out, seen, one)
    if one.api not in one.library.SAYS_FAILURE:
        return
    body = seen[1].json
    marks = {'anthropic': lambda: [b['is_error'] for b in body['messages'][-1]['content'] if b['type'] == 'tool_result'],
             'gemini': lambda: ['error' in p['functionResponse']['response'] for p in body['contents'][-1]['parts'] if 'functionResponse' in p],
             'openai': lambda: [m['content'].lower().startswith('error') for m in body['messages'] if m['role'] == 'tool'],
             'openai-responses': lambda: [i['output'].lower().startswith('error') for i in body['input'] if i.get('type') == 'function_call_output']}
    eq(marks[one.upstream](), [True])


def spoken(result):
    return result.get('failure') or result['text']


class Scene:
    """What is asked; what the model says: a turn, several (each but the last is followed by results), or a function of the request. foreign: only where the gateway translates."""

    def __init__(self, asks, turn, check=None, modes=('plain', 'stream'), foreign=False, models=MODEL):
        self.asks, self.check, self.modes, self.foreign, self.models = asks, check, modes, foreign, models
        self.says = turn if callable(turn) else None
        self.rounds = [] if callable(turn) else list(turn) if isinstance(turn, tuple) else [turn]

    def reply(self, request):
        if self.says:
            return self.says(request)
        results = [spoken(r) for r in self.asks.get('results', {}).values()]
        body = request.body.decode()
        done = sum(any(body.count(r) > i for r in results) for i in range(len(self.rounds)))
        return self.rounds[done] if done < len(self.rounds) else text(FINAL)


LONG = json.dumps({'city': 'Zürich "Hb"', 'unit': 'C', 'days': [{'d': n, 'µ': None} for n in range(12)]}, ensure_ascii=False)
SCENES = {
    'text': Scene(ask(), text(HELLO + 'x', usage=Usage(12, 3, 0, 9, 0))),
    'system and turns': Scene(ask(system='Be brief.', messages=[{'role': 'user', 'content': PROMPT}, {'role': 'assistant', 'content': 'Hello.'}, {'role': 'user', 'content': 'Go on.'}]), text('Yes.'), check_turns),
    'limits': Scene(ask(max=321, stop=['STOP HERE']), text('ok'), check_limits),
    'one tool': Scene(with_tools(), text('I look it up. ') + call('call_a1', 'get_weather', LONG), check_streamed),
    'a tool without arguments': Scene(with_tools(), call('call_n1', 'get_time', ''), check_loop, foreign=True),
    'parallel tools': Scene(with_tools(), calls(('call_p1', 'get_weather', ARGUMENTS), ('call_p2', 'get_time', '{}'), ('call_p3', 'get_weather', '{"city":"Bern"}')), check_loop),
    'forced tool': Scene(ask(tools=TOOLS, choice='get_time'), call('call_f1', 'get_time', '{"zone":"CET"}'), check_forced),
    'image': Scene(ask([{'type': 'text', 'text': PROMPT}, {'type': 'image', 'data': PNG}]), text('A pixel.'), check_image),
    'document': Scene(ask([{'type': 'text', 'text': PROMPT}, {'type': 'document', 'data': PDF}]), text('A page.'), check_document),
    'usage with caches and reasoning': Scene(ask(), text('Counted.', usage=Usage(100, 40, 0, 33, 8))),
    'reasoning': Scene(ask(reasoning='medium'), think('Let me think about it, 考え. ') + text('Done.', usage=Usage(10, 0, 0, 20, 0)), check_reasoning),
    'reasoning in a tool loop': Scene(with_tools(reasoning='medium'), think('Which tool? ') + call('call_x1', 'get_weather', ARGUMENTS), check_reasoning_loop),
    'reasoning and parallel tools': Scene(with_tools(reasoning='medium'), think('Which ones? ') + calls(('call_y1', 'get_weather', ARGUMENTS), ('call_y2', 'get_time', '{}')), check_reasoning_loop),
    'reasoning over two rounds': Scene(with_tools(reasoning='medium'), (think('First? ') + call('call_z1', 'get_weather', ARGUMENTS), think('Second? ') + call('call_z2', 'get_weather', '{"city":"Bern"}')), check_reasoning_loop),
    'reasoning of newer models': Scene(with_tools(reasoning='medium'), (think('First? ') + call('call_w1', 'get_weather', ARGUMENTS), think('Second? ') + call('call_w2', 'get_weather', '{"city":"Bern"}')), check_reasoning_loop, models=NEWER),
    'an image from a tool': Scene(with_tools(results={'get_weather': {'text': 'the map', 'image': PNG}}), call('call_i1', 'get_weather', ARGUMENTS), check_image_result, foreign=True),
    'a tool that fails': Scene(with_tools(results={'get_weather': {'failure': 'no such city'}}), call('call_e1', 'get_weather', ARGUMENTS), check_failure),
    'structured output': Scene(ask(schema=SCHEMA), structured, check_structured, modes=('plain', 'object')),
    'filtered': Scene(ask(), text('Half an ans', stop='filter')),
    'cut by length': Scene(ask(), text('Cut of', stop='length')),
}


class Case:
    """One scene, in one mode, of one library's client in front of one upstream."""

    def __init__(self, library, name, api, upstream, mode):
        self.library, self.name, self.api, self.upstream, self.mode = library, name, api, upstream, mode
        self.scene = SCENES[name]
        word = f'{name}-{mode}'.replace(' ', '-')
        self.asked, self.model = self.scene.models[api] + word, self.scene.models[api if KIND[api] == upstream else upstream] + word

    def line(self, base):
        return dict(self.scene.asks, api=self.api, base=base, key=CLIENT_KEY, mode=self.mode, model=self.asked)


def answers(script, library, api):
    """Every scene through one client of a library, in front of every upstream; `library` knows the names it gives to what it read."""
    todo, lines = [], []
    for upstream in UPSTREAMS:
        up = mock()
        batch = [Case(library, name, api, upstream, mode) for name, scene in SCENES.items() for mode in library.modes(scene) if not (scene.foreign and KIND[api] == upstream)]
        gateway = Gateway(providers={'up': provider(up, upstream, retry={'attempts': 1})}, model_profiles=PROFILES, routes=[{'model': c.asked, 'to': [f'up/{c.model}']} for c in batch], api_keys=[CLIENT_KEY])
        for one in batch:
            up.on(one.model, one.scene.reply)
        up.expect_problems = True  # reported case by case
        todo += [(one, up) for one in batch]
        lines += [one.line(gateway.url) for one in batch]
    for (one, up), out in zip(todo, node(script, lines)):
        with sub(f'to {one.upstream}: {one.name}, {one.mode}'):
            check(one, out, [r for r in up.seen if r.model == one.model])


def check(one, out, seen):
    assert not any(r.problem for r in seen), [r.problem for r in seen]
    assert 'error' not in out, f"{out['error']}\n{out['error'].pop('stack', '')}"
    for turn, step in zip(one.scene.rounds, out.get('steps', [])):
        eq(step['text'], turn.text(), 'text')
        eq(step['bad'], [])
        eq([[n, a] for _, n, a in step['calls']], [[p[2], json.loads(''.join(p[3]) or '{}')] for p in turn.parts if p[0] == 'call'], 'calls')
        eq(step['finish'], one.library.finish(one, turn.reason), 'finish')
        eq(step['usage'], one.library.usage(one, turn.usage), 'usage')
        eq(step['thinking'], turn.thinking() if one.library.shows_reasoning(one) else '', 'reasoning')
    eq(bool(seen[0].is_stream), 'stream' in one.mode, 'stream upstream')
    if one.scene.check:
        one.scene.check(out, seen, one)


STATUSES = (400, 404, 429, 500, 529)
BROKEN = text('Beginning of an answer that breaks off, too long for one piece')


def errors(script, library, api):
    """What a library throws: of an upstream's refusal, of an error inside a stream, and of a stream that just ends."""
    todo, prefix = [], MODEL[api]
    for upstream in UPSTREAMS:
        up = mock()
        rule = {'retry': {'attempts': 1, 'base_delay_ms': 1}}
        places = [(s, m) for s in STATUSES for m in ('plain', 'stream')]  # a provider each: a key that was refused rests
        gateway = Gateway(providers={f'p{s}{m}': provider(up, upstream, **rule) for s, m in places} | {'up': provider(up, upstream, **rule)}, default_provider='up', model_profiles=PROFILES, api_keys=[CLIENT_KEY])
        for status in STATUSES:
            up.on(f'{prefix}e{status}', Reply(status=status, message=f'said {status}'))
        up.on(f'{prefix}mid', Reply(turn=BROKEN, break_at=8, break_status=503, message='broke midway', pace=0.01))
        up.on(f'{prefix}cut', Reply(turn=BROKEN, cut=8, pace=0.01))
        common = dict(ask(), api=api, key=CLIENT_KEY)
        todo += [(upstream, status, dict(common, base=f'{gateway.url}/p{status}{mode}', mode=mode, model=f'{prefix}e{status}')) for status, mode in places]
        todo += [(upstream, kind, dict(common, base=gateway.url, mode='stream', model=prefix + kind)) for kind in ('mid', 'cut')]
        todo += [(upstream, 401, dict(common, base=gateway.url, mode='plain', model=prefix + 'x', key='sk-wrong'))]
    for (upstream, what, line), out in zip(todo, node(script, [line for _, _, line in todo])):
        with sub(f"to {upstream}: {what}, {line['mode']}"):
            if what in ('mid', 'cut'):
                assert BROKEN.text().startswith(out.get('partial', 'nothing came before the error')), out
                library.check_broken(out, api, 'broke midway' if what == 'mid' else '')
                continue
            assert 'error' in out, f'no error: {out}'
            library.check_error(out['error'], api, what, KIND[api] == upstream and what != 401)
            assert what == 401 or f'said {what}' in out['error']['message'], out['error']


def tests(script, name):
    """test_answers and test_errors of the suite of that name, a case for each of its library's clients."""
    library = sys.modules[name]

    @cases(*library.APIS)
    @limit(120)
    def test_answers(api):
        answers(script, library, api)

    @cases(*library.APIS)
    @limit(120)
    def test_errors(api):
        errors(script, library, api)

    test_answers.__module__ = test_errors.__module__ = name  # where they are looked for
    return test_answers, test_errors
