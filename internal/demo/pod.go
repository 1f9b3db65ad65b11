package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Pod is the program inside the pod: an ordinary SDK program that finds its
// credentials by the SDK's default chain.
func Pod(ctx context.Context, out io.Writer, args []string) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return errors.New("say what to do: whoami, read or write")
	}
	switch args[0] {
	case "whoami":
		id, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, aws.ToString(id.Arn))
	case "read":
		object, err := s3.NewFromConfig(cfg, pathStyle).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("hello.txt")})
		if err != nil {
			return err
		}
		defer object.Body.Close()
		_, err = io.Copy(out, io.LimitReader(object.Body, 1<<20))
		return err
	case "write":
		_, err := s3.NewFromConfig(cfg, pathStyle).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("note.txt"), Body: strings.NewReader("note")})
		if err == nil {
			fmt.Fprintln(out, "written")
			return nil
		}
		e, ok := errors.AsType[smithy.APIError](err)
		if !ok {
			return err
		}
		fmt.Fprintln(out, e.ErrorCode())
	default:
		return fmt.Errorf("%q: want whoami, read or write", args[0])
	}
	return nil
}

// pathStyle puts the bucket into the path: an address has no subdomains.
func pathStyle(o *s3.Options) { o.UsePathStyle = true }

// exchange asks the agent for credentials as the SDKs in the pod do, once, and
// says whose they are.
func (p *podRun) exchange(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.story.info.AgentURL, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", p.token)
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		AccountID string `json:"AccountId"`
		Code      string `json:"code"`
		Message   string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", &smithy.GenericAPIError{Code: answer.Code, Message: answer.Message}
	}
	return "credentials of account " + answer.AccountID, nil
}

func urlDecode(text string) (string, error) { return url.PathUnescape(text) }

// readTrust tells in a line whom a trust policy admits, and in the others on which conditions.
func readTrust(text string) (string, []string, error) {
	var policy struct {
		Statement []struct {
			Principal map[string]string
			Condition map[string]map[string]string
		}
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil || len(policy.Statement) == 0 {
		return "", nil, fmt.Errorf("trust policy %s: %w", text, err)
	}
	first := policy.Statement[0]
	var lines []string
	for _, operator := range sortedKeys(first.Condition) {
		for _, key := range sortedKeys(first.Condition[operator]) {
			lines = append(lines, fmt.Sprintf("only if %s %s %s", key, operator, first.Condition[operator][key]))
		}
	}
	for _, who := range first.Principal {
		return "trusts " + who, lines, nil
	}
	return "trusts nobody", lines, nil
}
