"""The AI SDK (npm ai) with each of its providers, in front of every upstream protocol."""
import libraries
from clients.node import node
from harness import Gateway, call, cases, eq, mock, provider, think

APIS = ('openai', 'responses', 'compatible', 'anthropic', 'gemini')
FINISH = {'end': 'stop', 'length': 'length', 'calls': 'tool-calls', 'filter': 'content-filter'}
SAYS_FAILURE = ('anthropic',)


def modes(scene):
    return (*scene.modes, 'stream', 'object stream') if 'object' in scene.modes else scene.modes


def finish(one, reason):
    return FINISH[reason]


def usage(one, u):
    reasoning = 0 if one.upstream == 'anthropic' else u.reasoning  # not counted apart there
    return {'in': u.input + u.cached + u.written, 'out': u.output, 'cached': u.cached, 'written': u.written, 'reasoning': reasoning}


def shows_reasoning(one):
    return one.api != 'openai'  # its Chat model knows no reasoning_content


def check_error(error, api, status, is_relayed):
    eq(error['class'], 'AI_APICallError')
    wanted = {529: {'openai': 503, 'responses': 503, 'compatible': 503, 'gemini': 503}.get(api, 529)}.get(status, status)
    eq(error['status'], status if is_relayed else wanted)
    eq(error['retry'], status in (429, 500, 529))


def check_broken(out, api, words):
    if api == 'gemini':  # no error to it without a `data:` before it, as Google's own server writes them; but no good end either
        eq(out['steps'][0]['finish'], 'interrupted')
    else:
        assert words in out['error']['message'], out


test_answers, test_errors = libraries.tests('aisdk.mjs', __name__)


@cases('openai', 'anthropic', 'gemini')
def test_stored_items(upstream):
    """With its default, store: true, the step after reasoning only names what was said. A foreign upstream has stored nothing: the refusal says so."""
    up = mock()
    up.default = think('Which tool? ') + call('call_k1', 'get_weather', '{"city":"Bern"}')
    gateway = Gateway(providers={'up': provider(up, upstream)}, default_provider='up', model_profiles=libraries.PROFILES)
    out, = node('aisdk.mjs', [dict(libraries.with_tools(reasoning='medium'), api='responses', base=gateway.url, key='k', mode='plain', model='gpt-5.2-x', store=True)])
    eq((out['error']['class'], out['error']['status'], out['error']['retry']), ('AI_APICallError', 400, False))
    assert 'items are not stored here' in out['error']['message'], out
    eq(len(up.seen), 1, 'requests')
