-- One prepared request, sent again and again; a line of JSON at the end. Arguments: body file, then header lines.
function init(args)
    local file = assert(io.open(args[1], "rb"))
    wrk.method = "POST"
    wrk.body = file:read("*a")
    file:close()
    wrk.headers["Content-Type"] = "application/json"
    for i = 2, #args do
        local name, value = args[i]:match("^([^:]+): *(.*)$")
        wrk.headers[name] = value
    end
end

function done(summary, latency, requests)
    io.write(string.format('BENCH {"requests":%d,"seconds":%.3f,"errors":%d,"p50_us":%.0f,"p99_us":%.0f}\n',
        summary.requests, summary.duration / 1e6,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
