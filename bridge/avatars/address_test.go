package avatars

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublic(t *testing.T) {
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1", "223.255.255.255",
		"168.63.129.15", "2606:4700::1111", "2001:4860:4860::8888", "2400:cb00::1", "240e::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	} {
		require.True(t, public(netip.MustParseAddr(text)), text)
	}
}

func TestRefused(t *testing.T) {
	for text, why := range map[string]string{
		"0.0.0.0":                 "unspecified",
		"0.1.2.3":                 "this network",
		"127.0.0.1":               "loopback",
		"127.255.0.9":             "loopback",
		"10.0.0.1":                "private",
		"172.16.0.1":              "private",
		"172.31.255.255":          "private",
		"192.168.1.1":             "private",
		"169.254.169.254":         "link-local, metadata",
		"169.254.0.23":            "link-local, Tencent's metadata",
		"100.64.0.1":              "CGNAT",
		"100.100.100.200":         "CGNAT, metadata",
		"100.127.255.255":         "CGNAT",
		"192.0.0.192":             "protocol assignments, metadata",
		"192.0.2.1":               "documentation",
		"192.88.99.1":             "6to4 relay",
		"198.18.0.1":              "benchmarking",
		"198.19.255.255":          "benchmarking",
		"198.51.100.1":            "documentation",
		"203.0.113.1":             "documentation",
		"224.0.0.1":               "multicast",
		"239.255.255.250":         "multicast",
		"240.0.0.1":               "reserved",
		"255.255.255.255":         "broadcast",
		"168.63.129.16":           "Azure's service",
		"::":                      "unspecified",
		"::1":                     "loopback",
		"::127.0.0.1":             "IPv4-compatible",
		"::ffff:127.0.0.1":        "IPv4-mapped loopback",
		"::ffff:10.0.0.1":         "IPv4-mapped private",
		"::ffff:a9fe:a9fe":        "IPv4-mapped metadata",
		"::ffff:0:127.0.0.1":      "IPv4-translated",
		"64:ff9b::127.0.0.1":      "NAT64 of loopback",
		"64:ff9b::10.0.0.1":       "NAT64 of private",
		"64:ff9b::169.254.169.25": "NAT64 of link-local",
		"64:ff9b:1::8.8.8.8":      "local NAT64",
		"100::1":                  "discard",
		"2001::1":                 "Teredo",
		"2001:2::1":               "benchmarking",
		"2001:20::1":              "ORCHID",
		"2001:db8::1":             "documentation",
		"2002:7f00:1::":           "6to4 of loopback",
		"3fff::1":                 "documentation",
		"5f00::1":                 "segment routing",
		"fc00::1":                 "unique local",
		"fd00:ec2::254":           "unique local, metadata",
		"fe80::1":                 "link-local",
		"fe80::1%eth0":            "link-local with a zone",
		"2606:4700::1111%eth0":    "a zone",
		"fec0::1":                 "site-local",
		"ff02::1":                 "multicast",
		"ff0e::1":                 "multicast",
		"4000::1":                 "not given out",
	} {
		require.False(t, public(netip.MustParseAddr(text)), "%s: %s", text, why)
	}
	require.False(t, public(netip.Addr{}))
}
