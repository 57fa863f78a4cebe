"""OpenAI Responses, as its server behaves."""
import json

from .openai_chat import dump, strict_schema
from .openai_chat import check_headers, error_body, models  # noqa: F401  the same as in Chat Completions
from .rules import NAME_64, base64_text, known, need, one_of, typed

NAME = 'openai-responses'
PATHS = ('/responses', '/v1/responses', '/v1/responses/input_tokens')
REQUEST_ID = 'x-request-id'

TOP = set('''model input instructions stream stream_options max_output_tokens temperature top_p top_logprobs reasoning text tools tool_choice
parallel_tool_calls max_tool_calls include store previous_response_id conversation background truncation context_management prompt metadata user
safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options moderation service_tier client_metadata'''.split())

CODEX_ASIDE = 'internal_chat_message_metadata_passthrough'  # what Codex adds to every item for OpenAI itself


def parts(value, where, kinds):
    typed(value, where, 'list')
    for i, part in enumerate(value):
        at = f'{where}[{i}]'
        one_of(isinstance(part, dict) and part.get('type'), f'{at}.type', kinds)
        kind = part['type']
        if kind in ('input_text', 'output_text'):
            known(part, at, {'type', 'text', 'annotations', 'logprobs', 'prompt_cache_breakpoint'})
            typed(part.get('text'), f'{at}.text', 'str')
        elif kind == 'refusal':
            known(part, at, {'type', 'refusal'})
        elif kind == 'input_image':
            known(part, at, {'type', 'image_url', 'file_id', 'detail', 'prompt_cache_breakpoint'})
            if 'image_url' in part:
                typed(part['image_url'], f'{at}.image_url', 'str')
                if part['image_url'].startswith('data:'):
                    base64_text(part['image_url'].partition(',')[2], at)
        elif kind == 'input_file':
            known(part, at, {'type', 'file_id', 'file_data', 'file_url', 'filename', 'detail', 'prompt_cache_breakpoint'})


def items(value):
    if isinstance(value, str):
        return
    typed(value, 'input', 'list')
    need(value, 'input', 'empty')
    calls, outputs = [], []
    for i, item in enumerate(value):
        at = f'input[{i}]'
        need(isinstance(item, dict), at, 'not an object', 'invalid_type')
        item = {name: member for name, member in item.items() if name != CODEX_ASIDE}
        kind = item.get('type', 'message')
        one_of(kind, f'{at}.type', ('message', 'function_call', 'function_call_output', 'custom_tool_call', 'custom_tool_call_output', 'reasoning', 'item_reference', 'additional_tools'))
        if kind == 'message':
            known(item, at, {'type', 'role', 'content', 'id', 'status', 'phase'})
            one_of(item.get('role'), f'{at}.role', ('user', 'assistant', 'system', 'developer'))
            if not isinstance(item.get('content'), str):
                parts(item.get('content'), f'{at}.content', ('output_text', 'refusal') if item['role'] == 'assistant' else ('input_text', 'input_image', 'input_file'))
            if item['role'] != 'assistant':
                need('id' not in item or item['id'].startswith('msg_'), at, 'bad id')
        elif kind in ('function_call', 'custom_tool_call'):
            content = 'arguments' if kind == 'function_call' else 'input'
            known(item, at, {'type', 'call_id', 'name', content, 'id', 'status', 'namespace'})
            typed(item.get('call_id'), f'{at}.call_id', 'str')
            need(1 <= len(item['call_id']) <= 64, f'{at}.call_id', 'one to 64 characters')
            typed(item.get('name'), f'{at}.name', 'str')
            need(NAME_64.match(item['name']), f'{at}.name', 'bad name')
            typed(item.get(content), f'{at}.{content}', 'str')
            need('id' not in item or item['id'].startswith(('fc', 'ctc')), f'{at}.id', "Expected an ID that begins with 'fc'")
            need(item['call_id'] not in calls, at, 'duplicate call_id')
            calls.append(item['call_id'])
        elif kind in ('function_call_output', 'custom_tool_call_output'):
            known(item, at, {'type', 'call_id', 'output', 'id', 'status', 'name', 'namespace'})
            need(item.get('call_id') in calls, at, f"No tool call found for function call output with call_id {item.get('call_id')}.")
            outputs.append(item['call_id'])
            if not isinstance(item.get('output'), str):
                parts(item.get('output'), f'{at}.output', ('input_text', 'input_image', 'input_file'))
        elif kind == 'reasoning':
            known(item, at, {'type', 'id', 'summary', 'content', 'encrypted_content', 'status'})
            typed(item.get('summary'), f'{at}.summary', 'list')
            typed(item.get('id'), f'{at}.id', 'str')
            need(item['id'].startswith('rs'), f'{at}.id', "Expected an ID that begins with 'rs'")
            need(i + 1 < len(value), at, 'reasoning was provided without its required following item')
    missing = [c for c in calls if c not in outputs]
    need(not missing, 'input', f'No tool output found for function call {", ".join(missing)}.')


def validate(request):
    check_headers(request.headers)
    body = request.json
    known(body, '', TOP)
    typed(body.get('model'), 'model', 'str')
    need('input' in body, 'input', 'missing', 'missing_required_parameter')
    items(body['input'])
    names = set()
    for i, tool in enumerate(body.get('tools') or []):
        at = f'tools[{i}]'
        one_of(tool.get('type'), f'{at}.type', ('function', 'custom', 'web_search', 'namespace', 'tool_search'))
        if tool['type'] == 'function':
            known(tool, at, {'type', 'name', 'description', 'parameters', 'strict', 'output_schema', 'defer_loading'})
            need(NAME_64.match(tool.get('name', '')), f'{at}.name', 'bad name')
            names.add(tool['name'])
            if tool.get('parameters') is not None:
                typed(tool['parameters'], f'{at}.parameters', 'object')
                need(tool['parameters'].get('type') == 'object', at, 'schema must be of type object')
            if tool.get('strict'):  # null is as good as false
                strict_schema(tool.get('parameters') or {}, at)
    choice = body.get('tool_choice')
    if choice is not None and not isinstance(choice, str):
        need(choice.get('name') in names or choice.get('type') == 'allowed_tools', 'tool_choice', 'names no declared tool')
    elif choice is not None:
        one_of(choice, 'tool_choice', ('none', 'auto', 'required'))
    for name, kind, low, high in (('stream', 'bool', None, None), ('max_output_tokens', 'int', 16, None), ('temperature', 'number', 0, 2), ('top_p', 'number', 0, 1), ('store', 'bool', None, None), ('instructions', 'str', None, None)):
        if name in body:
            typed(body[name], name, kind, low, high, null=True)
    if body.get('reasoning') is not None:
        known(body['reasoning'], 'reasoning', {'effort', 'summary', 'context', 'mode', 'generate_summary'})
    if body.get('text') is not None:
        known(body['text'], 'text', {'format', 'verbosity'})
        shape = body['text'].get('format')
        if shape is not None:
            one_of(shape.get('type'), 'text.format.type', ('text', 'json_object', 'json_schema'))
            if shape['type'] == 'json_schema':
                known(shape, 'text.format', {'type', 'name', 'schema', 'strict', 'description'})
                need(NAME_64.match(shape.get('name', '')), 'text.format.name', 'missing or bad')
                if shape.get('strict'):
                    strict_schema(shape.get('schema', {}), 'text.format.schema')


def is_stream(request):
    return bool(isinstance(request.json, dict) and request.json.get('stream'))


def usage_of(turn):
    u = turn.usage
    total = u.input + u.cached + u.written
    return {'input_tokens': total, 'input_tokens_details': {'cached_tokens': u.cached, 'cache_write_tokens': 0}, 'output_tokens': u.output, 'output_tokens_details': {'reasoning_tokens': u.reasoning}, 'total_tokens': total + u.output}


CUT = {'length': 'max_output_tokens', 'filter': 'content_filter'}


def response(turn, request, output, status, usage):
    reason = CUT[turn.reason] if status == 'incomplete' else None
    return {'id': 'resp_mock1', 'object': 'response', 'created_at': 1788000000, 'status': status, 'background': False, 'error': None,
            'incomplete_details': {'reason': reason} if reason else None, 'instructions': None, 'max_output_tokens': None, 'model': request.model, 'output': output, 'parallel_tool_calls': True,
            'previous_response_id': None, 'reasoning': {'effort': None, 'summary': None}, 'store': False, 'temperature': 1.0, 'text': {'format': {'type': 'text'}}, 'tool_choice': 'auto', 'tools': [], 'top_p': 1.0,
            'truncation': 'disabled', 'usage': usage, 'metadata': {}}


def declared(request):
    """Tool name -> (its type, its namespace or None), of the request and of its additional_tools."""
    body, found = request.json, {}
    more = [t for i in body['input'] if i.get('type') == 'additional_tools' for t in i['tools']] if isinstance(body.get('input'), list) else []
    for tool in (body.get('tools') or []) + more:
        for inner in tool['tools'] if tool['type'] == 'namespace' else [tool]:
            found[inner.get('name')] = (inner['type'], tool['name'] if tool['type'] == 'namespace' else None)
    return found


def call_item(part, i, request):
    kind, namespace = declared(request).get(part[2], ('function', None))
    if kind == 'custom':
        item = {'id': f'ctc_mock{i}', 'type': 'custom_tool_call', 'status': 'completed', 'call_id': part[1], 'name': part[2], 'input': ''.join(part[3])}
    else:
        item = {'id': f'fc_mock{i}', 'type': 'function_call', 'status': 'completed', 'call_id': part[1], 'name': part[2], 'arguments': ''.join(part[3]) or '{}'}
    return dict(item, namespace=namespace) if namespace else item


def output_of(turn, request):
    out = []
    for i, part in enumerate(turn.parts):
        if part[0] == 'text':
            out.append({'id': f'msg_mock{i}', 'type': 'message', 'status': 'completed', 'role': 'assistant', 'content': [{'type': 'output_text', 'text': ''.join(part[1]), 'annotations': [], 'logprobs': []}]})
        elif part[0] == 'think':
            out.append({'id': f'rs_mock{i}', 'type': 'reasoning', 'summary': [{'type': 'summary_text', 'text': ''.join(part[1])}], 'encrypted_content': 'gAAAA' + part[2]})
        elif part[0] == 'redacted':
            out.append({'id': f'rs_mock{i}', 'type': 'reasoning', 'summary': [], 'encrypted_content': 'gAAAA' + part[1]})
        else:
            out.append(call_item(part, i, request))
    return out


def plain(turn, request):
    if request.path.split('?')[0].endswith('/input_tokens'):
        return dump({'object': 'response.input_tokens', 'input_tokens': 2095})
    return dump(response(turn, request, output_of(turn, request), 'incomplete' if turn.reason in CUT else 'completed', usage_of(turn)))


def stream(turn, request):
    out = []

    def put(kind, **members):
        value = dict({'type': kind, 'sequence_number': len(out)}, **members)
        out.append(b'event: ' + kind.encode() + b'\ndata: ' + dump(value) + b'\n\n')

    put('response.created', response=response(turn, request, [], 'in_progress', None))
    put('response.in_progress', response=response(turn, request, [], 'in_progress', None))
    output = output_of(turn, request)
    for index, (part, item) in enumerate(zip(turn.parts, output)):
        at = {'item_id': item['id'], 'output_index': index}
        if part[0] == 'text':
            put('response.output_item.added', output_index=index, item=dict(item, status='in_progress', content=[]))
            put('response.content_part.added', **at, content_index=0, part={'type': 'output_text', 'text': '', 'annotations': [], 'logprobs': []})
            for fragment in part[1]:
                put('response.output_text.delta', **at, content_index=0, delta=fragment, logprobs=[], obfuscation='x')
            put('response.output_text.done', **at, content_index=0, text=''.join(part[1]), logprobs=[])
            put('response.content_part.done', **at, content_index=0, part=item['content'][0])
        elif part[0] in ('think', 'redacted'):
            put('response.output_item.added', output_index=index, item=dict(item, summary=[]))
            if part[0] == 'think':
                put('response.reasoning_summary_part.added', **at, summary_index=0, part={'type': 'summary_text', 'text': ''})
                for fragment in part[1]:
                    put('response.reasoning_summary_text.delta', **at, summary_index=0, delta=fragment)
                put('response.reasoning_summary_text.done', **at, summary_index=0, text=''.join(part[1]))
                put('response.reasoning_summary_part.done', **at, summary_index=0, part=item['summary'][0])
        elif item['type'] == 'custom_tool_call':
            put('response.output_item.added', output_index=index, item=dict(item, status='in_progress', input=''))
            for fragment in part[3]:
                put('response.custom_tool_call_input.delta', **at, delta=fragment)
            put('response.custom_tool_call_input.done', **at, input=item['input'])
        else:
            put('response.output_item.added', output_index=index, item=dict(item, status='in_progress', arguments=''))
            for fragment in part[3] or ['{}']:
                put('response.function_call_arguments.delta', **at, delta=fragment)
            put('response.function_call_arguments.done', **at, arguments=item['arguments'], name=item['name'])
        put('response.output_item.done', output_index=index, item=item)
    status = 'incomplete' if turn.reason in CUT else 'completed'
    put(f'response.{status}', response=response(turn, request, output, status, usage_of(turn)))
    return out


def error_event(status, message):
    inner = json.loads(error_body(status, message))['error']
    return b'event: error\ndata: ' + dump({'type': 'error', 'error': inner, 'sequence_number': 99}) + b'\n\n'


def keep_alive():
    return b': keep-alive\n\n'


