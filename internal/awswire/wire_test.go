package awswire_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/sigv4"
)

// config points official clients at a server that answers with h.
func config(t testing.TB, h http.HandlerFunc) aws.Config {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h(w, r.WithContext(awswire.WithRequestID(r.Context())))
	}))
	t.Cleanup(server.Close)
	return aws.Config{Region: "us-west-2", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} }}
}

func pathStyle(o *s3.Options) { o.UsePathStyle = true }

func TestRESTJSONWithClient(t *testing.T) {
	type association struct {
		RoleARN   string            `json:"roleArn"`
		Policy    string            `json:"policy"`
		Tags      map[string]string `json:"tags,omitempty"`
		CreatedAt awswire.Timestamp `json:"createdAt,omitzero"`
		ChangedAt awswire.Timestamp `json:"modifiedAt,omitzero"`
	}
	created := time.UnixMilli(1700862734922).UTC()
	client := eks.NewFromConfig(config(t, func(w http.ResponseWriter, r *http.Request) {
		var in association
		if err := awswire.DecodeJSON(r, &in); err != nil {
			t.Error(err)
		}
		in.CreatedAt = awswire.Timestamp(created)
		awswire.WriteJSON(w, r, http.StatusOK, map[string]any{"association": in})
	}))
	out, err := client.CreatePodIdentityAssociation(t.Context(), &eks.CreatePodIdentityAssociationInput{
		ClusterName: aws.String("c"), Namespace: aws.String("n"), ServiceAccount: aws.String("s"), RoleArn: aws.String("r"),
		Policy: aws.String(`{"a":"<>&\u2028ü"}`), Tags: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	a := out.Association
	if *a.RoleArn != "r" || *a.Policy != `{"a":"<>&\u2028ü"}` || a.Tags["k"] != "v" || !a.CreatedAt.Equal(created) || a.ModifiedAt != nil {
		t.Errorf("%+v", a)
	}
	if id, ok := awsRequestID(out.ResultMetadata); !ok || len(id) != 36 {
		t.Errorf("request id %q", id)
	}
}

func TestRESTJSONErrorWithClient(t *testing.T) {
	client := eks.NewFromConfig(config(t, func(w http.ResponseWriter, r *http.Request) {
		awswire.RESTJSON{}.WriteError(w, r, &awswire.Error{Code: "ResourceInUseException", Status: http.StatusConflict,
			Message: "Association already exists: a-1", Members: map[string]string{"clusterName": "c"}})
	}))
	_, err := client.DescribePodIdentityAssociation(t.Context(), &eks.DescribePodIdentityAssociationInput{ClusterName: aws.String("c"), AssociationId: aws.String("a")})
	e, ok := errors.AsType[*ekstypes.ResourceInUseException](err)
	if !ok || *e.Message != "Association already exists: a-1" || *e.ClusterName != "c" {
		t.Fatalf("%T %v", err, err)
	}
	reply, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || reply.HTTPStatusCode() != http.StatusConflict || len(reply.RequestID) != 36 {
		t.Errorf("%+v", reply)
	}
}

func TestQueryWithClient(t *testing.T) {
	type assumeRole struct {
		RoleArn           string
		DurationSeconds   *int32
		ExternalId        *string
		Tags              []struct{ Key, Value string }
		TransitiveTagKeys []string
		PolicyArns        []struct {
			Arn string `query:"arn"`
		}
	}
	expires := time.Date(2026, 3, 17, 22, 27, 34, 999, time.FixedZone("", 3600))
	client := sts.NewFromConfig(config(t, func(w http.ResponseWriter, r *http.Request) {
		form, err := awswire.ParseForm(r)
		if err != nil {
			t.Error(err)
		}
		var in assumeRole
		if err := awswire.DecodeForm(form, &in); err != nil {
			t.Error(err)
		}
		if in.RoleArn != "a&b" || *in.DurationSeconds != 900 || in.ExternalId != nil || len(in.Tags) != 2 || in.Tags[1].Value != "" ||
			len(in.TransitiveTagKeys) != 1 || in.PolicyArns[0].Arn != "p" {
			t.Errorf("%+v", in)
		}
		type credentials struct {
			AccessKeyId string
			Expiration  awswire.ISOTime
		}
		awswire.Query{Namespace: awswire.STSNamespace}.WriteResult(w, r, form.Get("Action"), struct {
			SourceIdentity *string
			Arn            string `xml:"AssumedRoleUser>Arn"`
			Credentials    credentials
		}{Arn: "<&>", Credentials: credentials{"ASIA", awswire.ISOTime(expires)}})
	}))
	out, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("a&b"), RoleSessionName: aws.String("s"), DurationSeconds: aws.Int32(900),
		Tags:              []ststypes.Tag{{Key: aws.String("k"), Value: aws.String("v+ü")}, {Key: aws.String("l"), Value: aws.String("")}},
		TransitiveTagKeys: []string{"k"}, PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("p")}}})
	if err != nil {
		t.Fatal(err)
	}
	if *out.AssumedRoleUser.Arn != "<&>" || !out.Credentials.Expiration.Equal(expires.Truncate(time.Second)) || out.SourceIdentity != nil {
		t.Errorf("%+v", out)
	}
	if id, ok := awsRequestID(out.ResultMetadata); !ok || len(id) != 36 {
		t.Errorf("request id %q", id)
	}
}

func TestQueryNothingReturned(t *testing.T) {
	client := iam.NewFromConfig(config(t, func(w http.ResponseWriter, r *http.Request) {
		awswire.Query{Namespace: awswire.IAMNamespace}.WriteResult(w, r, "DeleteRole", nil)
	}))
	if _, err := client.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("r")}); err != nil {
		t.Fatal(err)
	}
}

func TestQueryErrorWithClient(t *testing.T) {
	client := sts.NewFromConfig(config(t, func(w http.ResponseWriter, r *http.Request) {
		awswire.Query{Namespace: awswire.STSNamespace}.WriteError(w, r, &awswire.Error{Code: "MalformedPolicyDocument", Status: 400, Message: "<no> & no"})
	}))
	_, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("r"), RoleSessionName: aws.String("s")})
	if e, ok := errors.AsType[*ststypes.MalformedPolicyDocumentException](err); !ok || *e.Message != "<no> & no" {
		t.Fatalf("%T %v", err, err)
	}
}

func TestS3ErrorWithClient(t *testing.T) {
	cfg := config(t, func(w http.ResponseWriter, r *http.Request) {
		awswire.S3{}.WriteError(w, r, &awswire.Error{Code: "NoSuchKey", Status: http.StatusNotFound, Message: "The specified key does not exist.",
			Members: map[string]string{"Key": "a&b"}})
	})
	client := s3.NewFromConfig(cfg, pathStyle)
	_, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("a&b")})
	if _, ok := errors.AsType[*s3types.NoSuchKey](err); !ok {
		t.Fatalf("%T %v", err, err)
	}
	ids, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
		ServiceHostID() string
	}](err)
	if !ok || len(ids.ServiceRequestID()) != 16 || ids.ServiceHostID() == "" {
		t.Errorf("ids %v", ids)
	}
	_, err = client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	if _, ok := errors.AsType[*s3types.NotFound](err); !ok {
		t.Errorf("HEAD: %T %v", err, err)
	}
}

func TestDocuments(t *testing.T) {
	denied := &awswire.Error{Code: "AccessDenied", Status: 403, Message: "No <&>.", Members: map[string]string{"BucketName": "b"}}
	query := awswire.Query{Namespace: awswire.STSNamespace}
	for name, tt := range map[string]struct {
		write  func(w http.ResponseWriter, r *http.Request)
		status int
		want   string // with ID for the request's id
	}{
		"query": {func(w http.ResponseWriter, r *http.Request) { query.WriteError(w, r, denied) }, 403,
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>No &lt;&amp;&gt;.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"query, unknown operation": {func(w http.ResponseWriter, r *http.Request) {
			query.WriteError(w, r, awswire.InvalidAction(map[string][]string{"Action": {"Nope"}}))
		}, 400,
			`<ErrorResponse xmlns="http://webservices.amazon.com/AWSFault/2005-15-09"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation Nope for version NO_VERSION_SPECIFIED</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"query, our fault": {func(w http.ResponseWriter, r *http.Request) { query.WriteError(w, r, errors.New("the password is x")) }, 500,
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>The request processing has failed because of an unknown error, exception or failure.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"query, a result that can't be written": {func(w http.ResponseWriter, r *http.Request) { query.WriteResult(w, r, "A", func() {}) }, 500,
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>The request processing has failed because of an unknown error, exception or failure.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
		"query, no result": {func(w http.ResponseWriter, r *http.Request) { query.WriteResult(w, r, "DeleteRole", nil) }, 200,
			`<DeleteRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></DeleteRoleResponse>`},
		"query, result": {func(w http.ResponseWriter, r *http.Request) {
			query.WriteResult(w, r, "A", struct{ Arn string }{"a"})
		}, 200, `<AResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AResult><Arn>a</Arn></AResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></AResponse>`},
		"json": {func(w http.ResponseWriter, r *http.Request) { awswire.RESTJSON{}.WriteError(w, r, denied) }, 403,
			`{"BucketName":"b","message":"No <&>."}`},
		"json, our fault": {func(w http.ResponseWriter, r *http.Request) {
			awswire.RESTJSON{}.WriteError(w, r, errors.New("the password is x"))
		}, 500,
			`{"message":"The request processing has failed because of an unknown error, exception or failure."}`},
		"json, a value that can't be written": {func(w http.ResponseWriter, r *http.Request) { awswire.WriteJSON(w, r, 200, func() {}) }, 500,
			`{"message":"The request processing has failed because of an unknown error, exception or failure."}`},
		"s3": {func(w http.ResponseWriter, r *http.Request) { awswire.S3{}.WriteError(w, r, denied) }, 403,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>No &lt;&amp;&gt;.</Message><BucketName>b</BucketName><Resource>/a b</Resource><RequestId>S3ID</RequestId><HostId>HOST</HostId></Error>"},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/a%20b", nil)
			tt.write(w, r)
			got := w.Body.String()
			for token, header := range map[string]string{"S3ID": "x-amz-request-id", "HOST": "x-amz-id-2", "ID": "x-amzn-RequestId"} {
				if value := w.Header().Get(header); value != "" {
					got = strings.ReplaceAll(got, value, token)
				}
			}
			if w.Code != tt.status || got != tt.want {
				t.Errorf("%d\n%s\nwant\n%s", w.Code, got, tt.want)
			}
			head := httptest.NewRecorder()
			tt.write(head, httptest.NewRequest("HEAD", "/a%20b", nil))
			if head.Code != tt.status || head.Body.Len() != 0 {
				t.Errorf("HEAD: %d, %q", head.Code, head.Body)
			}
		})
	}
}

// TestAuthErrors holds each failure against the name that each protocol has for
// it, as the official clients read it.
func TestAuthErrors(t *testing.T) {
	tests := []struct {
		failure         sigv4.Failure
		json, query, s3 string
		jsonStatus      int
		queryStatus     int
		s3Status        int
	}{
		{sigv4.Missing, "MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied", 403, 403, 403},
		{sigv4.Incomplete, "IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed", 403, 400, 400},
		{sigv4.WrongScope, "InvalidSignatureException", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", 403, 403, 400},
		{sigv4.UnknownKey, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", 403, 403, 403},
		{sigv4.InvalidSessionToken, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken", 403, 403, 400},
		{sigv4.ExpiredSession, "ExpiredTokenException", "ExpiredToken", "ExpiredToken", 403, 403, 400},
		{sigv4.Expired, "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", 403, 403, 403},
		{sigv4.NotYet, "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", 403, 403, 403},
		{sigv4.Mismatch, "InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch", 403, 403, 403},
		{sigv4.PayloadMismatch, "InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch", 403, 403, 400},
		{sigv4.BodyTooLarge, "RequestEntityTooLargeException", "RequestEntityTooLarge", "EntityTooLarge", 413, 413, 400},
		{sigv4.MalformedBody, "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteBody", 403, 403, 400},
		{sigv4.ChecksumMismatch, "InvalidSignatureException", "SignatureDoesNotMatch", "BadDigest", 403, 403, 400},
	}
	if len(tests) != int(sigv4.ChecksumMismatch)+1 {
		t.Fatal("a failure is not in this table")
	}
	for _, tt := range tests {
		t.Run(tt.failure.String(), func(t *testing.T) {
			answer := func(p awswire.Protocol) aws.Config {
				return config(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					p.WriteError(w, r, &sigv4.Error{Failure: tt.failure})
				})
			}
			_, err := eks.NewFromConfig(answer(awswire.RESTJSON{})).ListClusters(t.Context(), nil)
			wantAPIError(t, err, tt.json, tt.jsonStatus)
			_, err = sts.NewFromConfig(answer(awswire.Query{})).GetCallerIdentity(t.Context(), nil)
			wantAPIError(t, err, tt.query, tt.queryStatus)
			_, err = s3.NewFromConfig(answer(awswire.S3{}), pathStyle).ListBuckets(t.Context(), nil)
			wantAPIError(t, err, tt.s3, tt.s3Status)
		})
	}
}

func wantAPIError(t *testing.T, err error, code string, status int) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	reply, replied := errors.AsType[*awshttp.ResponseError](err)
	if !ok || !replied || e.ErrorCode() != code || reply.HTTPStatusCode() != status {
		t.Errorf("got %v, want %s %d", err, code, status)
	}
}

// The message of a failure is kept, except by S3, which has its own.
func TestAuthMessages(t *testing.T) {
	refused := &sigv4.Error{Failure: sigv4.Expired, Message: "Signature expired: x"}
	for path, want := range map[string]string{
		"/":                                      "The difference between the request time and the current time is too large.",
		"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&a=b": "Request has expired",
	} {
		w := httptest.NewRecorder()
		awswire.S3{}.WriteError(w, httptest.NewRequest("GET", path, nil), refused)
		if !strings.Contains(w.Body.String(), "<Message>"+want+"</Message>") {
			t.Errorf("S3 %s: %s", path, w.Body)
		}
	}
	for name, p := range map[string]awswire.Protocol{"json": awswire.RESTJSON{}, "query": awswire.Query{}} {
		w := httptest.NewRecorder()
		p.WriteError(w, httptest.NewRequest("GET", "/", nil), refused)
		if !strings.Contains(w.Body.String(), refused.Message) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

func TestRequestID(t *testing.T) {
	ctx := awswire.WithRequestID(context.Background())
	if a, b := awswire.RequestID(ctx), awswire.RequestID(ctx); a != b {
		t.Errorf("%s, then %s", a, b)
	}
	if a, b := awswire.RequestID(context.Background()), awswire.RequestID(context.Background()); a == b || a == "" {
		t.Errorf("%q twice", a)
	}
}

func TestRetryAfter(t *testing.T) {
	w := httptest.NewRecorder()
	awswire.RESTJSON{}.WriteError(w, httptest.NewRequest("POST", "/", nil), &awswire.Error{Code: "ThrottlingException", Status: 429, RetryAfter: 1200 * time.Millisecond})
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After: %q, want whole seconds, never too early", got)
	}
}
