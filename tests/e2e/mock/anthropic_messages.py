"""Anthropic Messages, as its server behaves."""
import itertools
import json
import re

from .rules import ID, NAME_128, Bad, base64_text, known, need, one_of, typed

NAME = 'anthropic'
PATHS = ('/v1/messages', '/v1/messages/count_tokens')

TOP = set('''model max_tokens messages system stream stop_sequences temperature top_p top_k thinking tools tool_choice output_config
metadata service_tier cache_control container inference_geo'''.split())
BETA_TOP = {'context_management', 'mcp_servers', 'speed', 'fallbacks', 'diagnostics', 'output_format'}
COUNT_TOP = {'model', 'messages', 'system', 'tools', 'tool_choice', 'thinking', 'output_config', 'cache_control'}


def check_headers(headers):
    has_key, has_bearer = 'x-api-key' in headers, headers.get('authorization', '').startswith('Bearer ')
    if not has_key and not has_bearer:
        raise Bad('', 'x-api-key header is required', None, 401)
    need(not (has_key and has_bearer), '', 'both x-api-key and authorization')
    need(re.fullmatch(r'20\d\d-\d\d-\d\d', headers.get('anthropic-version', '')), 'anthropic-version', 'header is required')
    need(headers.get('content-type', '').split(';')[0].strip() == 'application/json', '', 'content-type must be application/json')
    for name in headers:
        need(not name.startswith('openai-') and name != 'x-goog-api-key', name, 'foreign header')


numbers = itertools.count(1)  # Claude Code takes messages of one id for one message


class State:
    def __init__(self):
        self.marks = 0


def cache_mark(value, where, state):
    if value.get('cache_control') is not None:
        mark = known(value['cache_control'], f'{where}.cache_control', {'type', 'ttl'})
        one_of(mark.get('type'), f'{where}.cache_control.type', ('ephemeral',))
        one_of(mark.get('ttl', '5m'), f'{where}.cache_control.ttl', ('5m', '1h'))
        state.marks += 1
        need(state.marks <= 4, where, 'A maximum of 4 blocks with cache_control may be provided')



def members(value, where, names):
    need(isinstance(value, dict), where, 'Input should be an object')
    for name in value:
        need(name in names, f'{where}.{name}', 'Extra inputs are not permitted')


def text_block(value, where, state):
    members(value, where, {'type', 'text', 'cache_control', 'citations'})
    typed(value.get('text'), f'{where}.text', 'str')
    need(value['text'], where, 'text content blocks must be non-empty')
    cache_mark(value, where, state)


def image_source(value, where):
    need(isinstance(value, dict), where, 'Input should be an object')
    one_of(value.get('type'), f'{where}.type', ('base64', 'url', 'file'))
    if value['type'] == 'base64':
        members(value, where, {'type', 'media_type', 'data'})
        one_of(value.get('media_type'), f'{where}.media_type', ('image/jpeg', 'image/png', 'image/gif', 'image/webp'))
        base64_text(value.get('data'), f'{where}.data')
    elif value['type'] == 'url':
        members(value, where, {'type', 'url'})
        need(str(value.get('url', '')).startswith(('https://', 'http://')), where, 'bad url')
    else:
        members(value, where, {'type', 'file_id'})


def document_source(value, where):
    need(isinstance(value, dict), where, 'Input should be an object')
    one_of(value.get('type'), f'{where}.type', ('base64', 'text', 'content', 'url', 'file'))
    if value['type'] == 'base64':
        members(value, where, {'type', 'media_type', 'data'})
        one_of(value.get('media_type'), f'{where}.media_type', ('application/pdf',))
        base64_text(value.get('data'), f'{where}.data')
    elif value['type'] == 'text':
        members(value, where, {'type', 'media_type', 'data'})
        one_of(value.get('media_type'), f'{where}.media_type', ('text/plain',))
        typed(value.get('data'), where, 'str')


def block(value, where, role, state, ids):
    need(isinstance(value, dict), where, 'Input should be an object')
    kind = value.get('type')
    if role == 'user':
        one_of(kind, f'{where}.type', ('text', 'image', 'document', 'search_result', 'tool_result', 'container_upload'))
    elif role == 'assistant':
        one_of(kind, f'{where}.type', ('text', 'thinking', 'redacted_thinking', 'tool_use', 'server_tool_use', 'web_search_tool_result'))
    else:
        one_of(kind, f'{where}.type', ('text', 'image', 'document', 'search_result', 'tool_reference'))
    if kind == 'text':
        text_block(value, where, state)
    elif kind == 'image':
        members(value, where, {'type', 'source', 'cache_control', 'transformations'})
        image_source(value.get('source'), f'{where}.source')
        cache_mark(value, where, state)
    elif kind == 'document':
        members(value, where, {'type', 'source', 'title', 'context', 'citations', 'cache_control'})
        document_source(value.get('source'), f'{where}.source')
        cache_mark(value, where, state)
    elif kind == 'tool_use':
        members(value, where, {'type', 'id', 'name', 'input', 'cache_control', 'caller'})
        typed(value.get('id'), f'{where}.id', 'str')
        need(ID.match(value['id']), f'{where}.id', "String should match pattern '^[a-zA-Z0-9_-]+$'")
        need(value['id'] not in ids, where, '`tool_use` ids must be unique')
        ids.add(value['id'])
        typed(value.get('name'), f'{where}.name', 'str')
        need(NAME_128.match(value['name']), f'{where}.name', 'String should match pattern')
        typed(value.get('input'), f'{where}.input', 'object')
        cache_mark(value, where, state)
    elif kind == 'tool_result':
        members(value, where, {'type', 'tool_use_id', 'content', 'is_error', 'cache_control'})
        typed(value.get('tool_use_id'), f'{where}.tool_use_id', 'str')
        typed(value.get('is_error', False), f'{where}.is_error', 'bool')
        content = value.get('content', '')
        if not isinstance(content, str):
            typed(content, f'{where}.content', 'list')
            for i, inner in enumerate(content):
                block(inner, f'{where}.content.{i}', 'result', state, ids)
        cache_mark(value, where, state)
    elif kind == 'thinking':
        members(value, where, {'type', 'thinking', 'signature'})
        typed(value.get('thinking'), f'{where}.thinking', 'str')
        typed(value.get('signature'), f'{where}.signature', 'str')
        need(value['signature'] == '' or value['signature'].startswith('EqRs'), where, 'Invalid `signature` in `thinking` block')
        need(value['signature'], where, 'Invalid `signature` in `thinking` block')
    elif kind == 'redacted_thinking':
        members(value, where, {'type', 'data'})
        typed(value.get('data'), f'{where}.data', 'str')


def messages(body, state):
    value = body.get('messages')
    typed(value, 'messages', 'list')
    need(value, 'messages', 'at least one message is required')
    merged, ids = [], set()
    for i, message in enumerate(value):
        at = f'messages.{i}'
        members(message, at, {'role', 'content'})
        one_of(message.get('role'), f'{at}.role', ('user', 'assistant'))
        content = message.get('content')
        is_last_assistant = i == len(value) - 1 and message['role'] == 'assistant'
        if isinstance(content, str):
            need(content.strip() or is_last_assistant, at, 'messages must have non-empty content' if not content else 'text content blocks must contain non-whitespace text')
            blocks = [{'type': 'text', 'text': content}]
        else:
            typed(content, f'{at}.content', 'list')
            need(content or is_last_assistant, at, 'all messages must have non-empty content except for the optional final assistant message')
            blocks = content
            for k, inner in enumerate(blocks):
                block(inner, f'{at}.content.{k}', message['role'], state, ids)
            # white space is refused only where there is nothing else
            need(not blocks or any(b['type'] != 'text' or b['text'].strip() for b in blocks), f'{at}.content', 'text content blocks must contain non-whitespace text')
        if is_last_assistant and blocks and blocks[-1]['type'] == 'text':
            need(blocks[-1]['text'] == blocks[-1]['text'].rstrip(), at, 'final assistant content cannot end with trailing whitespace')
        if merged and merged[-1][0] == message['role']:
            merged[-1][1].extend(blocks)
        else:
            merged.append((message['role'], list(blocks)))
    need(merged[0][0] == 'user', 'messages', 'first message must use the "user" role')
    open_ids = []
    for i, (role, blocks) in enumerate(merged):
        results = [b['tool_use_id'] for b in blocks if b['type'] == 'tool_result']
        if role == 'user':
            need(len(set(results)) == len(results), f'messages.{i}', 'each tool_use must have a single result')
            for r in results:
                need(r in open_ids, f'messages.{i}', f'unexpected `tool_use_id` found in `tool_result` blocks: {r}')
            missing = [o for o in open_ids if o not in results]
            need(not missing, f'messages.{i}', '`tool_use` ids were found without `tool_result` blocks immediately after: ' + ', '.join(missing))
            kinds = [b['type'] == 'tool_result' for b in blocks]
            need(kinds == sorted(kinds, reverse=True), f'messages.{i}', 'tool_result blocks must come first')
            open_ids = []
        else:
            open_ids = [b['id'] for b in blocks if b['type'] == 'tool_use']
            kinds = [b['type'] in ('thinking', 'redacted_thinking') for b in blocks]
            need(not any(kinds) or kinds[0], f'messages.{i}', 'Expected `thinking` or `redacted_thinking` first')
    need(not open_ids, 'messages', '`tool_use` ids were found without `tool_result` blocks immediately after')
    return merged


def thinking(body, merged):
    value = body.get('thinking')
    is_on = isinstance(value, dict) and value.get('type') in ('enabled', 'adaptive')
    if value is not None:
        one_of(isinstance(value, dict) and value.get('type'), 'thinking.type', ('enabled', 'adaptive', 'disabled'))
        if value['type'] == 'enabled':
            members(value, 'thinking', {'type', 'budget_tokens', 'display'})
            typed(value.get('budget_tokens'), 'thinking.budget_tokens', 'int', 1024)
            need('max_tokens' not in body or value['budget_tokens'] < body['max_tokens'], 'thinking', '`max_tokens` must be greater than `thinking.budget_tokens`')
        else:
            members(value, 'thinking', {'type', 'display'} if value['type'] == 'adaptive' else {'type'})
    if is_on:
        need(body.get('temperature', 1) == 1, 'temperature', 'may only be set to 1 when thinking is enabled')
        need('top_k' not in body, 'top_k', 'must be unset when thinking is enabled')
        need(0.95 <= body.get('top_p', 1) <= 1, 'top_p', 'must be 0.95 to 1 or unset when thinking is enabled')
        choice = (body.get('tool_choice') or {}).get('type', 'auto')
        need(choice in ('auto', 'none'), 'tool_choice', 'Thinking may not be enabled when tool_choice forces tool use.')
        need(merged[-1][0] == 'user', 'messages', 'prefill is not possible with thinking')
        turns = [m for m in merged if m[0] == 'assistant']
        if turns and merged[-1][0] == 'user' and any(b['type'] == 'tool_result' for b in merged[-1][1]) and value['type'] == 'enabled':
            need(turns[-1][1][0]['type'] in ('thinking', 'redacted_thinking'), 'messages',
                 'Expected `thinking` or `redacted_thinking`, but found another. When `thinking` is enabled, a final `assistant` message must start with a thinking block')


def tools(body, state):
    declared = body.get('tools')
    if declared is None:
        need('tool_choice' not in body, 'tool_choice', 'tool_choice may only be specified while providing tools')
        return
    typed(declared, 'tools', 'list')
    names = set()
    for i, tool in enumerate(declared):
        at = f'tools.{i}'
        need(isinstance(tool, dict), at, 'Input should be an object')
        if tool.get('type') not in (None, 'custom'):
            names.add(tool.get('name'))
            continue
        members(tool, at, {'type', 'name', 'description', 'input_schema', 'cache_control', 'strict', 'defer_loading', 'eager_input_streaming', 'input_examples', 'allowed_callers'})
        typed(tool.get('name'), f'{at}.name', 'str')
        need(NAME_128.match(tool['name']), f'{at}.name', "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
        need(tool['name'] not in names, at, 'Tool names must be unique.')
        names.add(tool['name'])
        typed(tool.get('input_schema'), f'{at}.input_schema', 'object')
        need(tool['input_schema'].get('type') == 'object', f'{at}.input_schema.type', "Input should be 'object'")
        for word in ('anyOf', 'oneOf', 'allOf'):
            need(word not in tool['input_schema'], f'{at}.input_schema', 'does not support oneOf, allOf, or anyOf at the top level')
        if 'description' in tool:
            typed(tool['description'], f'{at}.description', 'str')
        cache_mark(tool, at, state)
    choice = body.get('tool_choice')
    if choice is not None:
        one_of(isinstance(choice, dict) and choice.get('type'), 'tool_choice.type', ('auto', 'any', 'tool', 'none'))
        allowed = {'type'} | ({'disable_parallel_tool_use'} if choice['type'] != 'none' else set()) | ({'name'} if choice['type'] == 'tool' else set())
        members(choice, 'tool_choice', allowed)
        if choice['type'] == 'tool':
            need(choice.get('name') in names, 'tool_choice', f"Tool '{choice.get('name')}' not found in provided tools")


def validate(request):
    check_headers(request.headers)
    body, state = request.json, State()
    is_count = request.path.split('?')[0].endswith('/count_tokens')
    allowed = (COUNT_TOP if is_count else TOP) | (BETA_TOP if 'anthropic-beta' in request.headers else set())
    need(isinstance(body, dict), '', 'Input should be an object')
    for name in body:
        need(name in allowed, name, 'Extra inputs are not permitted')
    typed(body.get('model'), 'model', 'str')
    if not is_count:
        need('max_tokens' in body, 'max_tokens', 'Field required')
        typed(body['max_tokens'], 'max_tokens', 'int', 0)
    tools(body, state)
    system = body.get('system')
    if system is not None and not isinstance(system, str):
        typed(system, 'system', 'list')
        for i, inner in enumerate(system):
            one_of(isinstance(inner, dict) and inner.get('type'), f'system.{i}.type', ('text',))
            text_block(inner, f'system.{i}', state)
    merged = messages(body, state)
    thinking(body, merged)
    for name, kind, low, high in (('stream', 'bool', None, None), ('temperature', 'number', 0, 1), ('top_p', 'number', 0, 1), ('top_k', 'int', 0, None)):
        if name in body:
            typed(body[name], name, kind, low, high)
    need(not ('temperature' in body and 'top_p' in body), 'top_p', '`temperature` and `top_p` cannot both be specified for this model')
    if 'stop_sequences' in body:
        typed(body['stop_sequences'], 'stop_sequences', 'list')
        for s in body['stop_sequences']:
            typed(s, 'stop_sequences', 'str')
            need(s.strip(), 'stop_sequences', 'each stop sequence must contain non-whitespace')
    if 'metadata' in body:
        members(body['metadata'], 'metadata', {'user_id'})
    if 'service_tier' in body:
        one_of(body['service_tier'], 'service_tier', ('auto', 'standard_only'))
    if body.get('output_config') is not None:
        members(body['output_config'], 'output_config', {'effort', 'format', 'task_budget'})
        one_of(body['output_config'].get('effort'), 'output_config.effort', ('low', 'medium', 'high', 'xhigh', 'max'), null=True)
        shape = body['output_config'].get('format')
        if shape is not None:
            members(shape, 'output_config.format', {'type', 'schema'})
            one_of(shape.get('type'), 'output_config.format.type', ('json_schema',))
            closed(shape.get('schema'), 'output_config.format.schema')


def closed(schema, where):
    typed(schema, where, 'object')
    if schema.get('type') == 'object':
        need(schema.get('additionalProperties') is False, where, "For 'object' type, 'additionalProperties' must be explicitly set to false")
    for name, inner in schema.get('properties', {}).items():
        if isinstance(inner, dict):
            closed(inner, f'{where}.{name}')


# ---- answers ----------------------------------------------------------------------------------------------------

STOP = {'end': 'end_turn', 'length': 'max_tokens', 'calls': 'tool_use', 'filter': 'refusal', 'sequence': 'stop_sequence'}


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':')).encode()


def usage_of(turn, output=None):
    u = turn.usage
    return {'input_tokens': u.input, 'cache_creation_input_tokens': u.written, 'cache_read_input_tokens': u.cached,
            'output_tokens': u.output if output is None else output, 'service_tier': 'standard'}


def plain(turn, request):
    if request.path.split('?')[0].endswith('/count_tokens'):
        return dump({'input_tokens': 2095})
    content = []
    for part in turn.parts:
        if part[0] == 'text':
            content.append({'type': 'text', 'text': ''.join(part[1])})
        elif part[0] == 'think':
            content.append({'type': 'thinking', 'thinking': ''.join(part[1]), 'signature': part[2]})
        elif part[0] == 'redacted':
            content.append({'type': 'redacted_thinking', 'data': part[1]})
        else:
            content.append({'type': 'tool_use', 'id': part[1], 'name': part[2], 'input': json.loads(''.join(part[3]) or '{}')})
    return dump({'id': f'msg_mock{next(numbers)}', 'type': 'message', 'role': 'assistant', 'model': request.model, 'content': content, 'stop_reason': STOP[turn.reason],
                 'stop_sequence': turn.sequence or None, 'usage': usage_of(turn)})


def event(value):
    return b'event: ' + value['type'].encode() + b'\ndata: ' + dump(value) + b'\n\n'


def stream(turn, request):
    out = [event({'type': 'message_start', 'message': {'id': f'msg_mock{next(numbers)}', 'type': 'message', 'role': 'assistant', 'model': request.model, 'content': [],
                                                       'stop_reason': None, 'stop_sequence': None, 'usage': usage_of(turn, 1)}}),
           event({'type': 'ping'})]
    for index, part in enumerate(turn.parts):
        start, deltas = None, []
        if part[0] == 'text':
            start, deltas = {'type': 'text', 'text': ''}, [{'type': 'text_delta', 'text': f} for f in part[1]]
        elif part[0] == 'think':
            start = {'type': 'thinking', 'thinking': '', 'signature': ''}
            deltas = [{'type': 'thinking_delta', 'thinking': f} for f in part[1]] + [{'type': 'signature_delta', 'signature': part[2]}]
        elif part[0] == 'redacted':
            start = {'type': 'redacted_thinking', 'data': part[1]}
        else:
            start = {'type': 'tool_use', 'id': part[1], 'name': part[2], 'input': {}}
            deltas = [{'type': 'input_json_delta', 'partial_json': f} for f in [''] + list(part[3])]
        out.append(event({'type': 'content_block_start', 'index': index, 'content_block': start}))
        out.extend(event({'type': 'content_block_delta', 'index': index, 'delta': d}) for d in deltas)
        out.append(event({'type': 'content_block_stop', 'index': index}))
    out.append(event({'type': 'message_delta', 'delta': {'stop_reason': STOP[turn.reason], 'stop_sequence': turn.sequence or None}, 'usage': usage_of(turn)}))
    out.append(event({'type': 'message_stop'}))
    return out


ERRORS = {400: 'invalid_request_error', 401: 'authentication_error', 402: 'billing_error', 403: 'permission_error', 404: 'not_found_error', 409: 'conflict_error',
          413: 'request_too_large', 429: 'rate_limit_error', 500: 'api_error', 503: 'overloaded_error', 504: 'timeout_error', 529: 'overloaded_error'}


def error_body(status, message, where=None, code=None):
    return dump({'type': 'error', 'error': {'type': code or ERRORS.get(status, 'api_error'), 'message': message}, 'request_id': 'req_mock1'})


def error_event(status, message):
    return event({'type': 'error', 'error': {'type': ERRORS.get(status, 'api_error'), 'message': message}})


def keep_alive():
    return event({'type': 'ping'})


REQUEST_ID = 'request-id'


def models(names):
    return dump({'data': [{'type': 'model', 'id': n, 'display_name': n, 'created_at': '2026-02-04T00:00:00Z'} for n in names], 'has_more': False,
                 'first_id': names[0] if names else None, 'last_id': names[-1] if names else None})
