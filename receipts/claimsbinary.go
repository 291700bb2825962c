package receipts

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
)

var _ encoding.BinaryMarshaler = Claims{}

// MarshalBinary returns the binary form of c: a version byte, the places of the
// room and the main claim, each thread as length and bytes of its root and its
// place, and a CRC-32C. Equal claims have equal bytes; none have none. The error
// is always nil.
func (c Claims) MarshalBinary() ([]byte, error) {
	if c.IsZero() {
		return nil, nil
	}
	size := 1 + 2*binary.MaxVarintLen64 + sumSize
	for _, t := range c.threads {
		size += len(t.root) + 2 + binary.MaxVarintLen64
	}
	b := make([]byte, 1, size)
	b[0] = formVersion
	b = binary.AppendUvarint(b, uint64(c.room))
	b = binary.AppendUvarint(b, uint64(c.main))
	for _, t := range c.threads {
		b = binary.AppendUvarint(b, uint64(len(t.root)))
		b = append(b, t.root...)
		b = binary.AppendUvarint(b, uint64(t.pos))
	}
	return seal(b), nil
}

// ParseClaims reads what [Claims.MarshalBinary] wrote; no bytes are no claims.
// Anything else is an error that wraps [ErrDamaged]. It keeps no reference to b.
func ParseClaims(b []byte) (Claims, error) {
	if len(b) == 0 {
		return Claims{}, nil
	}
	body, err := unseal(b)
	if err != nil {
		return Claims{}, fmt.Errorf("failed to read claims: %w", err)
	}
	c, err := parseClaims(body)
	if err != nil {
		return Claims{}, fmt.Errorf("failed to read claims: %w", err)
	}
	return c, nil
}

func parseClaims(body []byte) (c Claims, err error) {
	if c.room, body, err = takePos(body); err != nil {
		return Claims{}, err
	}
	if c.main, body, err = takePos(body); err != nil {
		return Claims{}, err
	}
	if c.main != 0 && c.main <= c.room {
		return Claims{}, fmt.Errorf("%w: main claim below the room's", ErrDamaged)
	}
	for len(body) > 0 {
		var length uint64
		if length, body, err = takeUvarint(body); err != nil {
			return Claims{}, err
		}
		if length == 0 || length > maxRoot || length > uint64(len(body)) {
			return Claims{}, fmt.Errorf("%w: root of %d bytes", ErrDamaged, length)
		}
		t := threadClaim{root: string(body[:length])}
		if t.root == string(ScopeMain) {
			return Claims{}, fmt.Errorf("%w: the main timeline is no thread", ErrDamaged)
		}
		if t.pos, body, err = takePos(body[length:]); err != nil {
			return Claims{}, err
		}
		if t.pos <= c.room {
			return Claims{}, fmt.Errorf("%w: thread claim below the room's", ErrDamaged)
		}
		if n := len(c.threads); n == MaxThreads || n > 0 && c.threads[n-1].root >= t.root {
			return Claims{}, fmt.Errorf("%w: too many threads or not in order", ErrDamaged)
		}
		c.threads = append(c.threads, t)
	}
	if c.IsZero() {
		return Claims{}, fmt.Errorf("%w: no claims have no bytes", ErrDamaged)
	}
	return c, nil
}

func takePos(b []byte) (Pos, []byte, error) {
	v, rest, err := takeUvarint(b)
	if err != nil {
		return 0, nil, err
	}
	if v > math.MaxInt64 {
		return 0, nil, fmt.Errorf("%w: place beyond the highest", ErrDamaged)
	}
	return Pos(v), rest, nil
}
