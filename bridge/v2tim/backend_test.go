package v2tim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSignCallback(t *testing.T) {
	// Vector of contract-tencent.md section 4.1.
	require.Equal(t, "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061", signCallback("xxxxyyyy", "1669872112"))
}
