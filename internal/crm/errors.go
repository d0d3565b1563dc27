package crm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// The categories of failure that clients tell apart.
const (
	catValidation = "VALIDATION_ERROR"
	catNotFound   = "OBJECT_NOT_FOUND"
	catConflict   = "CONFLICT"
	catExists     = "OBJECT_ALREADY_EXISTS"
	catScopes     = "MISSING_SCOPES"
	catAuth       = "INVALID_AUTHENTICATION"
	catRate       = "RATE_LIMITS"
)

// fault is a failure that the caller is told of, in the shape that clients of this API parse.
type fault struct {
	HTTP        int                 `json:"-"`
	Status      string              `json:"status"`
	Message     string              `json:"message"`
	Correlation string              `json:"correlationId"`
	Category    string              `json:"category,omitempty"`
	SubCategory string              `json:"subCategory,omitempty"`
	ErrorType   string              `json:"errorType,omitempty"`
	Policy      string              `json:"policyName,omitempty"`
	Group       string              `json:"groupName,omitempty"`
	Context     map[string][]string `json:"context,omitempty"`
	Errors      []detail            `json:"errors,omitempty"`
	Links       map[string]string   `json:"links,omitempty"`
	header      http.Header
}

// detail is one of the things that are wrong.
type detail struct {
	Message     string              `json:"message"`
	Code        string              `json:"code,omitempty"`
	In          string              `json:"in,omitempty"`
	SubCategory string              `json:"subCategory,omitempty"`
	Context     map[string][]string `json:"context,omitempty"`
}

// batchError is one item of a batch's errors: it may stand for several ids.
type batchError struct {
	Status      string              `json:"status"`
	Category    string              `json:"category,omitempty"`
	SubCategory string              `json:"subCategory,omitempty"`
	Message     string              `json:"message"`
	Context     map[string][]string `json:"context,omitempty"`
	Errors      []detail            `json:"errors,omitempty"`
}

// Error is the sentence for a person.
func (f *fault) Error() string { return f.Message }

func newFault(status int, category, format string, a ...any) *fault {
	return &fault{HTTP: status, Status: "error", Category: category, Message: fmt.Sprintf(format, a...)}
}

// invalid is a request that can't be carried out as it stands.
func invalid(format string, a ...any) *fault {
	return newFault(http.StatusBadRequest, catValidation, format, a...)
}

// notFound is a thing that isn't there, or isn't the caller's.
func notFound(format string, a ...any) *fault {
	return newFault(http.StatusNotFound, catNotFound, format, a...)
}

func (f *fault) with(key string, values ...string) *fault {
	if f.Context == nil {
		f.Context = map[string][]string{}
	}
	f.Context[key] = values
	return f
}

func (f *fault) sub(name string) *fault {
	f.SubCategory = name
	return f
}

// item is the fault as one item of a batch's errors.
func (f *fault) item() batchError {
	return batchError{Status: "error", Category: f.Category, SubCategory: f.SubCategory, Message: f.Message, Context: f.Context, Errors: f.Errors}
}

// valueError is a property value that can't be stored.
type valueError struct {
	Name, Code, Message string
}

// badValues is the failure of a write with bad values. Clients read both the list
// inside the message and the errors beside it.
func badValues(list []valueError) *fault {
	type element struct {
		IsValid bool   `json:"isValid"`
		Message string `json:"message"`
		Error   string `json:"error"`
		Name    string `json:"name"`
	}
	var inside []element
	f := invalid("")
	for _, e := range list {
		inside = append(inside, element{Message: e.Message, Error: e.Code, Name: e.Name})
		f.Errors = append(f.Errors, detail{Message: e.Message, Code: e.Code, In: e.Name, Context: map[string][]string{"propertyName": {e.Name}}})
	}
	text, err := json.Marshal(inside)
	if err != nil {
		panic(err) // strings and booleans
	}
	f.Message = "Property values were not valid: " + string(text)
	return f
}

// badRequestDetail is the failure of a search that names what isn't there.
func badRequestDetail(code, in, format string, a ...any) *fault {
	f := invalid("There was a problem with the request.")
	f.Errors = []detail{{Message: fmt.Sprintf(format, a...), Code: code, In: in}}
	return f
}

func (s *Service) unauthenticated() *fault {
	f := newFault(http.StatusUnauthorized, catAuth,
		"Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at %s/docs/authentication", s.uiBase)
	f.header = http.Header{"X-Hubspot-Auth-Failure": {"401 Unauthorized"}}
	return f
}

// missingScopes refuses for want of any of the scopes. The headers tell the
// gateway, which records the reason and takes them off again.
func (s *Service) missingScopes(scopes []string) *fault {
	link := s.uiBase + "/docs/scopes"
	need := map[string][]string{"requiredGranularScopes": scopes}
	f := newFault(http.StatusForbidden, catScopes,
		"This app hasn't been granted all required scopes to make this call. Read more about required scopes here: %s.", link)
	f.Errors = []detail{{Message: "One or more of the following scopes are required.", Context: need}}
	f.Context = need
	f.Links = map[string]string{"scopes": link}
	f.header = http.Header{"Postern-Refused": {"insufficient_scope"}, "Postern-Missing-Scopes": {strings.Join(scopes, " ")}}
	return f
}

func tooManySearches() *fault {
	f := newFault(http.StatusTooManyRequests, catRate, "You have reached your secondly limit.")
	f.ErrorType, f.Policy = "RATE_LIMIT", "SECONDLY"
	f.header = http.Header{"Retry-After": {"1"}}
	return f
}
