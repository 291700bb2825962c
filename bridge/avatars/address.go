package avatars

import "net/netip"

// public tells whether an address is one of the public internet's, by the registries
// https://www.iana.org/assignments/iana-ipv4-special-registry/ and
// https://www.iana.org/assignments/iana-ipv6-special-registry/
//
// What holds an IPv4 address inside is as public as that is: IPv4-mapped addresses and those of the well-known prefix of
// NAT64 (by which machines without IPv4 reach it). The other ways of wrapping one are refused.
func public(addr netip.Addr) bool {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid(), addr.Zone() != "":
		return false
	case addr.Is4():
		return public4(addr)
	case in(addr, "64:ff9b::/96"):
		bytes := addr.As16()
		return public4(netip.AddrFrom4([4]byte(bytes[12:])))
	}
	// All unicast addresses given out so far lie in 2000::/3: what is outside (loopback, unspecified, unique local,
	// link-local, site-local, multicast, discard, local NAT64, IPv4-compatible and -translated) is refused as a whole.
	return in(addr, "2000::/3") && !in(addr,
		"2001::/23",     // protocol assignments: Teredo, benchmarking, ORCHID
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4
		"3fff::/20",     // documentation
	)
}

func public4(addr netip.Addr) bool {
	return !in(addr,
		"0.0.0.0/8",       // this network, unspecified
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // shared by carriers (CGNAT); 100.100.100.200 is a cloud's metadata service
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local; 169.254.169.254 is most clouds' metadata service, 169.254.0.23 Tencent's
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays
		"192.168.0.0/16",  // private
		"198.18.0.0/15",   // benchmarking
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, broadcast
		// Azure's own service for its machines, though the address looks public, see
		// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
		"168.63.129.16/32",
	)
}

func in(addr netip.Addr, prefixes ...string) bool {
	for _, text := range prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Contains(addr) {
			return true // a prefix that cannot be read (there is none) lets nothing through
		}
	}
	return false
}
