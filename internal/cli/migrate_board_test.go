package cli

import (
	"testing"
	"time"
)

func TestLasts(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Minute: "1m", 10 * time.Minute: "10m", 4 * time.Hour: "4h", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", 70 * time.Second: "1m10s"} {
		if got := lasts(d); got != want {
			t.Errorf("%s is told as %s, want %s", d, got, want)
		}
	}
}
