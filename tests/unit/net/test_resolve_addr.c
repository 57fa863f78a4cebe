/* Addresses in text, which of them are inside, and names that never leave the machine. */
#include <criterion/criterion.h>

#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/net/resolve.h"

static void writes_back(const char *text, const char *canonical)
{
    struct ip_addr addr;
    char to[IP_ADDR_TEXT_MAX + 1];

    cr_expect(ip_addr_parse(slice_from_z(text), &addr), "%s", text);
    to[ip_addr_write(to, &addr)] = '\0';
    cr_expect_str_eq(to, canonical, "%s became %s", text, to);
}

Test(resolve_addr, addresses_are_read_and_written)
{
    writes_back("127.0.0.1", "127.0.0.1");
    writes_back("255.255.255.255", "255.255.255.255");
    writes_back("::", "::");
    writes_back("::1", "::1");
    writes_back("[::1]", "::1");
    writes_back("1::", "1::");
    writes_back("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
    writes_back("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1");
    writes_back("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0");
    writes_back("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8");
    writes_back("::ffff:192.0.2.1", "::ffff:192.0.2.1");
    writes_back("64:ff9b::192.0.2.33", "64:ff9b::c000:221");
    writes_back("0:0:0:0:0:0:0:0", "::");
    writes_back("1:0:0:2:0:0:0:3", "1:0:0:2::3");
}

Test(resolve_addr, what_is_no_address_is_refused)
{
    static const char *const texts[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.256",
        "1.2.3.4 ",
        "1..2.3",
        "a.b.c.d",
        ":",
        ":::",
        "1::2::3",
        "12345::",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8::",
        "::1.2.3",
        "1.2.3.4::",
        "::g",
        "[1.2.3.4]",
        "[::1",
        "::1]",
        "fe80::1%1",
        "1:",
        ":1",
        "0x7f.1",
        "::1.2.3.4.5",
        "1:2:3:4:5:6:7:1.2.3.4",
    };
    struct ip_addr addr;

    for (size_t i = 0; i < array_count(texts); i++)
        cr_expect_not(ip_addr_parse(slice_from_z(texts[i]), &addr), "%s", texts[i]);
}

Test(resolve_addr, knows_what_is_not_the_public_internet)
{
    static const char *const inside[] = {
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "2001:db8::1",
        "2002::1",
        "192.0.2.1",
    };
    static const char *const outside[] = {"8.8.8.8",      "172.32.0.1",     "100.128.0.1",
                                          "2606:4700::1", "::ffff:8.8.8.8", "2001:4860:4860::8888"};
    struct ip_addr addr;

    for (size_t i = 0; i < array_count(inside); i++) {
        cr_assert(ip_addr_parse(slice_from_z(inside[i]), &addr));
        cr_expect(ip_addr_is_private(&addr), "%s", inside[i]);
    }
    for (size_t i = 0; i < array_count(outside); i++) {
        cr_assert(ip_addr_parse(slice_from_z(outside[i]), &addr));
        cr_expect_not(ip_addr_is_private(&addr), "%s", outside[i]);
        cr_expect_not(ip_addr_is_loopback(&addr), "%s", outside[i]);
    }
    cr_expect(ip_addr_parse(S("::ffff:127.9.9.9"), &addr) && ip_addr_is_loopback(&addr));
    cr_expect(ip_addr_parse(S("::1"), &addr) && ip_addr_is_loopback(&addr));
}

Test(resolve_addr, literals_and_localhost_never_leave)
{
    struct resolve_result result;

    cr_assert(resolve_local(S("192.0.2.1"), &result));
    cr_assert_eq(result.count, 1);
    cr_assert(resolve_local(S("[::1]"), &result));
    cr_assert_eq(result.addrs[0].len, 16);
    cr_assert(resolve_local(S("LocalHost."), &result));
    cr_assert_eq(result.count, 2);
    cr_assert(resolve_local(S("a.localhost"), &result));
    cr_assert_not(resolve_local(S("localhost.example"), &result));
    cr_assert_not(resolve_local(S("notlocalhost"), &result));
}
