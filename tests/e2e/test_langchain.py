"""LangChain's chat models (npm @langchain/openai with both its APIs, @langchain/anthropic, @langchain/google-genai) in front of every upstream protocol."""
import libraries
from harness import eq

APIS = ('openai', 'responses', 'anthropic', 'gemini')
FINISH = {'openai': {'end': 'stop', 'length': 'length', 'calls': 'tool_calls', 'filter': 'content_filter'},
          'responses': {'end': 'completed', 'length': 'incomplete', 'calls': 'completed', 'filter': 'incomplete'},
          'anthropic': {'end': 'end_turn', 'length': 'max_tokens', 'calls': 'tool_use', 'filter': 'refusal'},
          'gemini': {'end': 'STOP', 'length': 'MAX_TOKENS', 'calls': 'STOP', 'filter': 'SAFETY'}}
SAYS_FAILURE = ('gemini',)


def modes(scene):
    return scene.modes


def finish(one, reason):
    return FINISH[one.api][reason]


def usage(one, u):
    reasoning = 0 if 'anthropic' in (one.api, one.upstream) else u.reasoning  # not counted apart there
    total = {'in': u.input + u.cached + u.written, 'out': u.output, 'cached': u.cached, 'written': u.written, 'reasoning': reasoning}
    if one.api == 'gemini':  # it leaves the thoughts out
        total.update({'out': u.output - reasoning, 'reasoning': 0})
    if one.mode == 'stream' and one.api == 'anthropic':  # it takes the input from message_start alone, and adds up the output
        if one.upstream == 'anthropic':
            total['out'] += 1
        elif one.upstream != 'gemini':  # which counts from the first chunk on
            total.update({'in': 0, 'cached': 0})
    if one.mode == 'stream' and one.api == one.upstream == 'gemini':  # it adds up what each chunk says of the cache
        total['cached'] *= 1 + sum(len(p[1]) for p in one.scene.rounds[0].parts if p[0] == 'text')
    return total


def shows_reasoning(one):
    return True


def check_error(error, api, status, is_relayed):
    wanted = {529: 529 if api == 'anthropic' else 503}.get(status, status)
    eq(error['status'], status if is_relayed else wanted)


def check_broken(out, api, words):
    if api == 'gemini':  # whose client keeps what the error says to itself
        eq(out['error']['class'], 'GoogleGenerativeAIError')
    else:
        assert words in out['error']['message'], out


test_answers, test_errors = libraries.tests('langchain.mjs', __name__)
