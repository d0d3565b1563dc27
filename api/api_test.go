package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"postern.dev/postern/api"
)

func TestOptional(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   api.EditServiceKey
		want string
	}{
		{api.EditServiceKey{}, `{}`},
		{api.EditServiceKey{ExpiresAt: api.None[time.Time]()}, `{"expiresAt":null}`},
		{api.EditServiceKey{ExpiresAt: api.Set(at)}, `{"expiresAt":"2026-05-01T00:00:00Z"}`},
	} {
		text, err := json.Marshal(tt.in)
		if err != nil || string(text) != tt.want {
			t.Errorf("Marshal = %s, %v, want %s", text, err, tt.want)
		}
		var back api.EditServiceKey
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		got, ok := back.ExpiresAt.Get()
		want, wantOK := tt.in.ExpiresAt.Get()
		if !got.Equal(want) || ok != wantOK || back.ExpiresAt.Null() != tt.in.ExpiresAt.Null() {
			t.Errorf("%s reads as %v, %v", text, got, ok)
		}
	}
}
