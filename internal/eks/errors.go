package eks

import (
	"errors"
	"net/http"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

// exceptions maps each kind of error to an exception and its status.
type exceptions map[identity.Kind]struct {
	code   string
	status int
}

// operations is the table of all operations but tagging (model eks 2017-11-01).
var operations = exceptions{
	identity.InvalidParameter: {"InvalidParameterException", http.StatusBadRequest},
	identity.InvalidRequest:   {"InvalidRequestException", http.StatusBadRequest},
	identity.NotFound:         {"ResourceNotFoundException", http.StatusNotFound},
	identity.InUse:            {"ResourceInUseException", http.StatusConflict},
	identity.LimitExceeded:    {"ResourceLimitExceededException", http.StatusBadRequest},
	identity.AccessDenied:     {"AccessDeniedException", http.StatusForbidden},
	identity.Throttled:        {"ThrottlingException", http.StatusTooManyRequests},
	identity.Unavailable:      {"ServiceUnavailableException", http.StatusServiceUnavailable},
	identity.Internal:         {"ServerException", http.StatusInternalServerError},
}

// tagging is the table of TagResource, UntagResource and ListTagsForResource.
var tagging = exceptions{
	identity.InvalidParameter: {"BadRequestException", http.StatusBadRequest},
	identity.InvalidRequest:   {"BadRequestException", http.StatusBadRequest},
	identity.LimitExceeded:    {"BadRequestException", http.StatusBadRequest},
	identity.NotFound:         {"NotFoundException", http.StatusNotFound},
	identity.AccessDenied:     operations[identity.AccessDenied],
	identity.Throttled:        operations[identity.Throttled],
	identity.Unavailable:      operations[identity.Unavailable],
	identity.Internal:         operations[identity.Internal],
}

// exception names err. What is no *identity.Error goes to awswire as it is: a
// body that does not match its signature has a name there, and all else is
// internal.
func (x exceptions) exception(r *http.Request, err error) error {
	if _, ok := errors.AsType[*identity.Error](err); !ok {
		return err
	}
	row, ok := x[identity.KindOf(err)]
	if !ok {
		row, err = x[identity.Internal], nil
	}
	e := &awswire.Error{Code: row.code, Status: row.status, Message: identity.SafeMessage(err)}
	if name := r.PathValue("name"); name != "" {
		e.Members = map[string]string{"clusterName": name}
	}
	return e
}
