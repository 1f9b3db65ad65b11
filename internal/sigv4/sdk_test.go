package sigv4_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/podid/podid/internal/sigv4"
)

// verifyingServer verifies what it gets and remembers it.
type verifyingServer struct {
	*httptest.Server
	mu      sync.Mutex
	err     error
	scope   sigv4.Scope
	body    string
	payload string // x-amz-content-sha256, as it was sent
}

func newVerifyingServer(t *testing.T, withTLS bool) *verifyingServer {
	v, err := sigv4.New(sigv4.Config{
		Secret: func(_ context.Context, _ sigv4.Scope, token string) (string, error) {
			if token != "the token" {
				return "", &sigv4.Error{Failure: sigv4.InvalidSessionToken}
			}
			return secret, nil
		},
		MaxBody: 1 << 16,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &verifyingServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.body, s.payload = "", r.Header.Get("X-Amz-Content-Sha256")
		if s.scope, s.err = v.Verify(r); s.err == nil {
			var body []byte
			body, s.err = io.ReadAll(r.Body)
			s.body = string(body)
		}
		switch {
		case s.err != nil:
			w.WriteHeader(http.StatusForbidden)
		case s.scope.Service == "sts":
			io.WriteString(w, "<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>")
		case s.scope.Service == "eks":
			io.WriteString(w, "{}")
		case r.Method == "POST":
			io.WriteString(w, "<DeleteResult/>")
		}
	}))
	if withTLS {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *verifyingServer) config() aws.Config {
	return aws.Config{
		Region: "us-west-2", BaseEndpoint: &s.URL,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "the token"),
		HTTPClient:  &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
		// As config.LoadDefaultConfig has it.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		Retryer:                    func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func TestSDKClients(t *testing.T) {
	for name, withTLS := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			server := newVerifyingServer(t, withTLS)
			check := func(t *testing.T, err error, service, body string) {
				t.Helper()
				if err != nil || server.err != nil {
					t.Fatalf("%v, because of %v", err, server.err)
				}
				if server.scope.Service != service || server.scope.Region != "us-west-2" || server.body != body {
					t.Errorf("scope %+v, body %q, want %q", server.scope, server.body, body)
				}
			}
			t.Run("sts", func(t *testing.T) {
				_, err := sts.NewFromConfig(server.config()).GetCallerIdentity(t.Context(), nil)
				check(t, err, "sts", "Action=GetCallerIdentity&Version=2011-06-15")
			})
			t.Run("eks", func(t *testing.T) {
				client := eks.NewFromConfig(server.config())
				arn := "arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-1"
				_, err := client.TagResource(t.Context(), &eks.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"a b": "ü/+"}})
				check(t, err, "eks", `{"tags":{"a b":"ü/+"}}`)
				_, err = client.UntagResource(t.Context(), &eks.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"b", "a b", "a+b", "ü", ""}})
				check(t, err, "eks", "")
			})
			testS3Client(t, server, check)
		})
	}
}

func testS3Client(t *testing.T, server *verifyingServer, check func(t *testing.T, err error, service, body string)) {
	client := s3.NewFromConfig(server.config(), func(o *s3.Options) { o.UsePathStyle = true })
	keys := []string{"plain", "a b+c%2F&=?#", "//double//", "./dot/../x", "ünïcödé/~*'()!"}
	for _, size := range []int{0, 1, 100, 1 << 16, 1<<16 + 1, 300_000} {
		content := strings.Repeat("x", size)
		for i, algorithm := range append(s3types.ChecksumAlgorithmCrc32.Values(), "") {
			if algorithm == "MD5" || algorithm == "SHA512" || strings.HasPrefix(string(algorithm), "XXHASH") {
				continue // not among those that SDKs put into trailers themselves
			}
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &keys[i%len(keys)],
				Body: strings.NewReader(content), ChecksumAlgorithm: algorithm, ContentEncoding: aws.String("gzip")})
			check(t, err, "s3", content)
		}
		_, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("bucket"), Key: &keys[1],
			PartNumber: aws.Int32(1), UploadId: aws.String("a+b/c="), Body: strings.NewReader(content)})
		check(t, err, "s3", content)
		if server.TLS != nil && size > 0 && server.payload != "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
			t.Errorf("the SDK sent %s: this no longer tests chunks", server.payload)
		}
		if server.TLS != nil { // the SDK can't hash a body that it can't rewind, and signs it without only over TLS
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &keys[0],
				Body: io.MultiReader(strings.NewReader(content)), ContentLength: aws.Int64(int64(size))})
			check(t, err, "s3", content)
		}
		_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &keys[0], Body: strings.NewReader(content)},
			s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
		check(t, err, "s3", content)
	}
	for _, key := range keys {
		_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("bucket"), Key: &key, VersionId: aws.String("a b")})
		check(t, err, "s3", "")
	}
	_, err := client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String("bucket"),
		Delete: &s3types.Delete{Objects: []s3types.ObjectIdentifier{{Key: aws.String("k")}}}})
	check(t, err, "s3", server.body)
	if !strings.Contains(server.body, "<Key>k</Key>") {
		t.Errorf("body %q", server.body)
	}

	presigner := s3.NewPresignClient(client, s3.WithPresignExpires(time.Hour))
	get, err := presigner.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: &keys[1], ExpectedBucketOwner: aws.String("111122223333")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, send(server, get, ""), "s3", "")
	put, err := presigner.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &keys[4], Metadata: map[string]string{"a": "b  c"}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, send(server, put, "content"), "s3", "content")
	identity, err := sts.NewPresignClient(sts.NewFromConfig(server.config())).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, send(server, identity, ""), "sts", "")
}

// send makes a presigned request as somebody without keys does.
func send(server *verifyingServer, p *v4.PresignedHTTPRequest, content string) error {
	r, err := http.NewRequest(p.Method, p.URL, bytes.NewReader([]byte(content)))
	if err != nil {
		return err
	}
	r.Header = p.SignedHeader.Clone()
	reply, err := server.Client().Do(r)
	if err != nil {
		return err
	}
	return reply.Body.Close()
}
