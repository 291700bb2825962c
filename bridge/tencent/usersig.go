package tencent

import (
	"fmt"
	"sync"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
)

// userSig is the UserSig of our administrator: made when it is needed, kept, and made anew when half
// of its life is over, which leaves room for clocks that differ. One UserSig may be used for any
// number of calls until it expires. [R-OVER]
type userSig struct {
	sdkAppID   int
	secret     string
	identifier string
	life       time.Duration
	now        func() time.Time

	mu    sync.Mutex
	value string
	renew time.Time
}

// get returns a UserSig that is valid for at least half of its life.
func (u *userSig) get() (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	if u.value != "" && now.Before(u.renew) {
		return u.value, nil
	}
	value, err := tencentyun.GenUserSig(u.sdkAppID, u.secret, u.identifier, int(u.life/time.Second))
	if err != nil {
		return "", fmt.Errorf("failed to make usersig: %w", err)
	}
	u.value, u.renew = value, now.Add(u.life/2)
	return value, nil
}

// forget makes the next call use a new UserSig, if the one kept is still the one that was refused.
func (u *userSig) forget(refused string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.value == refused {
		u.value = ""
	}
}
