package tencent

import (
	"fmt"
	"slices"
	"strings"
)

// regionHosts are the hosts of the server API. An app lives in one region; the others answer 60026.
// [R-OVER]
func regionHosts() map[string]string {
	return map[string]string{
		"china":     "console.tim.qq.com",
		"singapore": "adminapisgp.im.qcloud.com",
		"korea":     "adminapikr.im.qcloud.com",
		"japan":     "adminapijpn.im.qcloud.com",
		"germany":   "adminapiger.im.qcloud.com",
		"usa":       "adminapiusa.im.qcloud.com",
		"indonesia": "adminapiidn.im.qcloud.com",
		"saudi":     "adminapiksa.im.qcloud.com",
		// Tencent's second address in China, for when the first cannot be reached.
		"china-backup": "adminapi.my-imcloud.com",
	}
}

// Regions returns the names that [RegionURL] knows, sorted.
func Regions() []string {
	names := make([]string, 0, 9)
	for name := range regionHosts() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// RegionURL returns the base URL of a region's server API, such as https://adminapisgp.im.qcloud.com
// for "singapore". The error of an unknown name lists the known ones.
func RegionURL(region string) (string, error) {
	host, ok := regionHosts()[region]
	if !ok {
		return "", fmt.Errorf("failed to find region %q: it is none of %s", region, strings.Join(Regions(), ", "))
	}
	return "https://" + host, nil
}
