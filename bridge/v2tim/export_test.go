package v2tim

import "time"

// VerifierForBenchmark is the verifier as the server uses it, with its pool.
func VerifierForBenchmark(sdkAppID uint64, secret string) func(userID, sig string, now time.Time) (time.Time, error) {
	v := &userSigVerifier{sdkAppID: sdkAppID, secret: []byte(secret)}
	return v.verify
}
