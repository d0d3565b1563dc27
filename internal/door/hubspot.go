package door

import (
	"fmt"
	"strconv"
	"time"

	"postern.dev/postern"
)

// appendHubSpot appends a refusal in the shape that HubSpot's clients parse.
func (d *Door) appendHubSpot(b []byte, f *refusal) []byte {
	b = append(b, `{"status":"error"`...)
	b = appendMember(b, "message", d.hubSpotMessage(f))
	b = appendMember(b, "correlationId", f.call.RequestID)
	dec := &f.call.Decision
	switch {
	case dec.Allowed: // it failed after it was allowed
	case dec.Reason == postern.ReasonRetired, dec.Reason == postern.ReasonExpired:
		b = append(b, `,"context":{"expire time":[`...)
		b = AppendJSON(b, stamp(dec.Since))
		b = append(b, `]},"category":"EXPIRED_AUTHENTICATION"`...)
	case f.status == 401:
		b = append(b, `,"category":"INVALID_AUTHENTICATION"`...)
	case dec.Reason == postern.ReasonInsufficientScope:
		b = d.appendMissing(b, f.missing)
	case f.status == 403:
		b = append(b, `,"category":"FORBIDDEN"`...)
	case f.status == 400 || f.status == 413 || f.status == 414:
		b = append(b, `,"category":"VALIDATION_ERROR"`...)
	case f.status == 429:
		policy := "TEN_SECONDLY_ROLLING"
		switch {
		case dec.Reason == postern.ReasonDailyLimit:
			policy = "DAILY"
		case dec.Limit.BurstSecs == 1:
			policy = "SECONDLY"
		}
		b = append(b, `,"errorType":"RATE_LIMIT","category":"RATE_LIMITS"`...)
		b = appendMember(b, "policyName", policy)
		b = appendMember(b, "groupName", groupName(dec))
	}
	return append(b, '}')
}

// appendMissing appends the scopes that are missing, in both of the places where
// clients look for them.
func (d *Door) appendMissing(b []byte, missing []postern.Scope) []byte {
	b = append(b, `,"errors":[{"message":"One or more of the following scopes are required.","context":{"requiredGranularScopes":`...)
	b = appendScopes(b, missing)
	b = append(b, `}}],"context":{"requiredGranularScopes":`...)
	b = appendScopes(b, missing)
	b = append(b, `},"links":{"scopes":`...)
	b = AppendJSON(b, d.docs+"/scopes")
	return append(b, `},"category":"MISSING_SCOPES"`...)
}

// hubSpotMessage is the text that clients match on, where they do.
func (d *Door) hubSpotMessage(f *refusal) string {
	dec := &f.call.Decision
	if dec.Allowed {
		return f.detail
	}
	switch r := dec.Reason; {
	case r == postern.ReasonRetired, r == postern.ReasonExpired:
		return "The OAuth token used to make this call expired " + ago(dec.At-dec.Since) + " ago."
	case f.status == 401:
		return "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at " + d.docs + "/authentication"
	case r == postern.ReasonInsufficientScope:
		return "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: " + d.docs + "/scopes."
	case r == postern.ReasonDailyLimit:
		return "You have reached your daily limit."
	case r == postern.ReasonRateLimited && dec.Limit.BurstSecs == 1:
		return "You have reached your secondly limit."
	case r == postern.ReasonRateLimited:
		return "You have reached your ten_secondly_rolling limit."
	}
	return f.detail
}

// ago is a length of time in the largest unit that it fills.
func ago(m postern.Micros) string {
	d := max(0, time.Duration(m)*time.Microsecond)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d second(s)", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d minute(s)", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d hour(s)", int(d.Hours()))
	}
	return fmt.Sprintf("%d day(s)", int(d.Hours()/24))
}

// groupName names what a limit is about: a credential in an account.
func groupName(d *postern.Decision) string {
	kind := "service-key"
	if d.Kind != postern.KindServiceKey {
		kind = "app"
	}
	return "publicapi:" + kind + ":" + string(d.KeyID()) + ":" + strconv.FormatInt(d.AccountNo, 10)
}
