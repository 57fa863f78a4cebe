/* The two files: resolv.conf and hosts. */
#include <criterion/criterion.h>

#include "r2a/core/str.h"
#include "src/net/resolve_conf.h"

Test(resolve_conf, reads_resolv_conf)
{
    struct resolve_conf conf;

    resolve_conf_parse(&conf, (struct slice){0});
    cr_assert_eq(conf.servers_count, 1);
    cr_assert_arr_eq(conf.servers[0].addr.bytes, "\177\0\0\1", 4);
    cr_assert_eq(conf.ndots, 1);

    resolve_conf_parse(&conf, S("# comment\n"
                                "; another\r\n"
                                "domain old.example\n"
                                "search a.example b.example. -bad!name\r\n"
                                "nameserver 192.0.2.53\n"
                                "nameserver\tfe80::1%1\n"
                                "nameserver not.an.address\n"
                                "nameserver 2001:db8::53\n"
                                "nameserver 192.0.2.54\n"
                                "options ndots:3 timeout:99 attempts:4 rotate edns0 unknown:1\n"
                                "sortlist 1.2.3.4\n"
                                "options use-vc"));
    cr_assert_eq(conf.servers_count, 3);
    cr_assert_eq(conf.servers[1].addr.scope, 1);
    cr_assert_eq(conf.servers[2].addr.len, 16);
    cr_assert_eq(conf.servers[0].port, 53);
    cr_assert_eq(conf.search_count, 2);
    cr_assert_str_eq(conf.search[0], "a.example");
    cr_assert_str_eq(conf.search[1], "b.example");
    cr_assert_eq(conf.ndots, 3);
    cr_assert_eq(conf.timeout_ms, 30000);
    cr_assert_eq(conf.attempts, 4);
    cr_assert(conf.is_rotating && conf.wants_edns && conf.wants_tcp);
}

Test(resolve_conf, reads_hosts)
{
    static const char hosts[] = "127.0.0.1 localhost\n"
                                "192.0.2.1\tone.example one # comment two.example\n"
                                "2001:db8::1   ONE.example\r\n"
                                "bad line one.example\n"
                                "fe80::1%lo0 one.example\n"
                                "192.0.2.2 two.example two.example";
    struct resolve_result result;

    cr_assert(resolve_hosts_find(slice_from_z(hosts), S("One.Example"), &result));
    cr_assert_eq(result.count, 2);
    cr_assert_eq(result.addrs[1].len, 16);
    cr_assert(resolve_hosts_find(slice_from_z(hosts), S("two.example."), &result));
    cr_assert_eq(result.count, 1);
    cr_assert_not(resolve_hosts_find(slice_from_z(hosts), S("three.example"), &result));
    cr_assert_not(resolve_hosts_find((struct slice){0}, S("three.example"), &result));
}
