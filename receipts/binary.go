package receipts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrDamaged says that stored bytes are not what one of the MarshalBinary
// methods of this package wrote.
var ErrDamaged = errors.New("damaged binary form")

// ErrTooLarge says that a value has more parts than its binary form allows.
var ErrTooLarge = errors.New("too large for the binary form")

const (
	// formVersion is the first byte of every binary form.
	formVersion = 1
	// sumSize is the length of the CRC-32C at the end, big endian, over all bytes
	// before it.
	sumSize = 4
)

// seal ends a binary form with its checksum.
func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// unseal checks version and checksum and returns what is between.
func unseal(b []byte) ([]byte, error) {
	if len(b) < 1+sumSize {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrDamaged, len(b))
	}
	body, sum := b[:len(b)-sumSize], binary.BigEndian.Uint32(b[len(b)-sumSize:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, fmt.Errorf("%w: checksum does not match", ErrDamaged)
	}
	if body[0] != formVersion {
		return nil, fmt.Errorf("%w: version %d is not known", ErrDamaged, body[0])
	}
	return body[1:], nil
}

// takeUvarint reads one number off the front of b. It accepts only the shortest
// form of a number, so that equal values have equal bytes.
func takeUvarint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, fmt.Errorf("%w: number cut off or too long", ErrDamaged)
	}
	if n > 1 && b[n-1] == 0 {
		return 0, nil, fmt.Errorf("%w: number not in its shortest form", ErrDamaged)
	}
	return v, b[n:], nil
}
