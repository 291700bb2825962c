package v2tim

import "time"

// VerifierForBenchmark is the verifier as the server uses it, with its pool.
func VerifierForBenchmark(sdkAppID uint64, secret string) func(userID, sig string, now time.Time) (time.Time, error) {
	v := &userSigVerifier{sdkAppID: sdkAppID, secret: []byte(secret)}
	return v.verify
}

// MaxDrains is how many unwanted bodies are taken in at a time, Draining how many there are.
const MaxDrains = maxDrains

func (s *Server) Draining() int { return len(s.drains) }

// TrackedAddresses is of how many addresses something is remembered.
func (s *Server) TrackedAddresses() int {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	return len(s.failures.young) + len(s.failures.old)
}
