package demo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/token/issuer"
)

// Who and what the story is about; the default world has them.
const (
	clusterAccount = "111122223333"
	dataAccount    = "444455556666"
	cluster        = "example-cluster"
	namespace      = "default"
	serviceAccount = "demo-app-sa"
	pod            = "demo-app-1"
	roleName       = "eks-pod-identity-primary-role"
	targetName     = "eks-pod-identity-aws-resources"
	roleARN        = "arn:aws:iam::" + clusterAccount + ":role/" + roleName
	targetARN      = "arn:aws:iam::" + dataAccount + ":role/" + targetName
	bucket         = "example-data-" + dataAccount
	externalID     = "us-west-2/" + clusterAccount + "/" + cluster + "/" + namespace + "/" + serviceAccount
)

// as returns the configuration of an account's administrator.
func (s *story) as(account string) aws.Config {
	c := s.info.Administrator(account)
	return aws.Config{
		Region: s.info.Cluster.Region, BaseEndpoint: &s.info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), ""),
	}
}

// tell tells it. Its error is of the telling; what goes wrong in the story is in the report.
func (s *story) tell(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "podid-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	eksAPI := eks.NewFromConfig(s.as(clusterAccount))
	p := &podRun{story: s, tokenFile: filepath.Join(dir, "eks-pod-identity-token")}

	s.part = "two accounts"
	s.policies(ctx)
	s.part = "a pod gets a role of another account"
	id := s.associate(ctx, eksAPI)
	if err := p.newToken(time.Now()); err != nil {
		return err
	}
	s.showToken(p)
	s.identity(ctx, p)
	s.hops()
	s.objects(ctx, p)
	s.part = "and what is refused"
	s.expired(ctx, p)
	s.withoutAssociation(ctx, eksAPI, id, p)
	s.otherExternalID(ctx, eksAPI, p)
	s.wrongAccount(ctx, eksAPI)
	return nil
}

func (s *story) policies(ctx context.Context) {
	show := func(account, role, what string) {
		s.step(fmt.Sprintf("account %s has the role %s", account, role), what, func(step *Step) (string, error) {
			step.Command = "aws iam get-role --role-name " + role
			out, err := iam.NewFromConfig(s.as(account)).GetRole(ctx, &iam.GetRoleInput{RoleName: &role})
			if err != nil {
				return "", err
			}
			text, err := urlDecode(aws.ToString(out.Role.AssumeRolePolicyDocument))
			if err != nil {
				return "", err
			}
			trust, lines, err := readTrust(text)
			step.Detail = append(step.Detail, lines...)
			return trust, err
		})
	}
	show(clusterAccount, roleName, "trusts pods.eks.amazonaws.com")
	show(dataAccount, targetName, "trusts arn:aws:iam::"+clusterAccount+":root")
}

// associate makes the association and returns its id.
func (s *story) associate(ctx context.Context, api *eks.Client) (id string) {
	s.step("an association binds the service account to both roles", "external ID "+externalID, func(step *Step) (string, error) {
		step.Command = fmt.Sprintf("aws eks create-pod-identity-association --cluster-name %s --namespace %s --service-account %s \\\n      --role-arn %s --target-role-arn %s",
			cluster, namespace, serviceAccount, roleARN, targetARN)
		out, err := api.CreatePodIdentityAssociation(ctx, s.association())
		if err != nil {
			return "", err
		}
		id = aws.ToString(out.Association.AssociationId)
		step.Detail = append(step.Detail, "association "+id)
		return "external ID " + aws.ToString(out.Association.ExternalId), nil
	})
	return id
}

func (s *story) association() *eks.CreatePodIdentityAssociationInput {
	return &eks.CreatePodIdentityAssociationInput{
		ClusterName: aws.String(cluster), Namespace: aws.String(namespace), ServiceAccount: aws.String(serviceAccount),
		RoleArn: aws.String(roleARN), TargetRoleArn: aws.String(targetARN),
	}
}

func (s *story) showToken(p *podRun) {
	s.step("the kubelet gives the pod a service account token", "audience pods.eks.amazonaws.com, pod "+namespace+"/"+pod, func(step *Step) (string, error) {
		parts := strings.Split(p.token, ".")
		if len(parts) != 3 {
			return "", errors.New("not a token")
		}
		text, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			return "", err
		}
		var claims struct {
			Audience   []string `json:"aud"`
			Subject    string   `json:"sub"`
			Kubernetes struct {
				Namespace string
				Pod       struct{ Name, UID string }
			} `json:"kubernetes.io"`
		}
		if err := json.Unmarshal(text, &claims); err != nil {
			return "", err
		}
		step.Detail = append(step.Detail, "sub "+claims.Subject, "pod uid "+claims.Kubernetes.Pod.UID)
		return fmt.Sprintf("audience %s, pod %s/%s", strings.Join(claims.Audience, ","), claims.Kubernetes.Namespace, claims.Kubernetes.Pod.Name), nil
	})
}

func (s *story) identity(ctx context.Context, p *podRun) {
	s.step("inside the pod, an AWS SDK with nothing but the two container variables asks who it is", "arn:aws:sts::"+dataAccount+":assumed-role/"+targetName+"/eks-…", func(step *Step) (string, error) {
		step.Command = "aws sts get-caller-identity"
		arn, err := p.run(ctx, "whoami")
		if err != nil {
			return "", err
		}
		step.Detail = append(step.Detail, arn)
		end := strings.LastIndex(arn, "/eks-") // the session's name differs each time
		if end < 0 {
			return arn, nil
		}
		return arn[:end] + "/eks-…", nil
	})
}

func (s *story) hops() {
	s.step("how it came about, from the audit log", "granted: "+roleName+", then "+targetName, func(step *Step) (string, error) {
		events := s.info.Audit.Events()
		if len(events) == 0 {
			return "", errors.New("no event")
		}
		last := events[len(events)-1]
		var names []string
		for i, h := range last.Hops {
			names = append(names, h.RoleARN[strings.LastIndexByte(h.RoleARN, '/')+1:])
			by := "pods.eks.amazonaws.com"
			if i > 0 {
				by = last.Hops[i-1].RoleARN[strings.LastIndexByte(last.Hops[i-1].RoleARN, '/')+1:]
			}
			line := fmt.Sprintf("hop %d: %s assumes %s", i+1, by, h.RoleARN)
			if h.SessionTags {
				line += ", six session tags"
			}
			if h.ExternalID != "" {
				line += ", external ID " + h.ExternalID
			}
			step.Detail = append(step.Detail, line)
		}
		return string(last.Outcome) + ": " + strings.Join(names, ", then "), nil
	})
}

func (s *story) objects(ctx context.Context, p *podRun) {
	s.step("the pod reads an object of account "+dataAccount, "Hello from account "+dataAccount+".", func(step *Step) (string, error) {
		step.Command = "aws s3 cp s3://" + bucket + "/hello.txt -"
		return p.run(ctx, "read")
	})
	s.step("it may read, and not write", "AccessDenied", func(step *Step) (string, error) {
		step.Command = "aws s3 cp note.txt s3://" + bucket + "/note.txt"
		return p.run(ctx, "write")
	})
}

func (s *story) expired(ctx context.Context, p *podRun) {
	s.step("the pod with a token that has expired", "InvalidTokenException", func(step *Step) (string, error) {
		if err := p.newToken(time.Now().Add(-25 * time.Hour)); err != nil {
			return "", err
		}
		got, err := p.exchange(ctx)
		return explain(step, got, err)
	})
}

func (s *story) withoutAssociation(ctx context.Context, api *eks.Client, id string, p *podRun) {
	s.step("the same pod without the association", "ResourceNotFoundException", func(step *Step) (string, error) {
		step.Command = "aws eks delete-pod-identity-association --cluster-name " + cluster + " --association-id " + id
		if _, err := api.DeletePodIdentityAssociation(ctx, &eks.DeletePodIdentityAssociationInput{ClusterName: aws.String(cluster), AssociationId: &id}); err != nil {
			return "", err
		}
		if err := p.newToken(time.Now()); err != nil {
			return "", err
		}
		got, err := p.exchange(ctx)
		return explain(step, got, err)
	})
}

// otherExternalID turns the session tags off, so that the external ID is what
// the target role's trust has to go by; first the right one, then another.
func (s *story) otherExternalID(ctx context.Context, api *eks.Client, p *podRun) {
	try := func(id string) func(*Step) (string, error) {
		return func(step *Step) (string, error) {
			trust := externalIDTrust(id)
			step.Detail = append(step.Detail, "sts:ExternalId must be "+id)
			_, err := iam.NewFromConfig(s.as(dataAccount)).UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String(targetName), PolicyDocument: &trust})
			if err != nil {
				return "", err
			}
			if err := p.newToken(time.Now()); err != nil {
				return "", err
			}
			got, err := p.exchange(ctx)
			return explain(step, got, err)
		}
	}
	in := s.association()
	in.DisableSessionTags = aws.Bool(true)
	if _, err := api.CreatePodIdentityAssociation(ctx, in); err != nil {
		s.step("an association without session tags", "made", func(*Step) (string, error) { return "", err })
		return
	}
	s.step("without session tags, and a target role whose trust names this association's external ID", "credentials of account "+dataAccount, try(externalID))
	s.step("the same with the external ID of another cluster", "AccessDeniedException", try("us-west-2/"+clusterAccount+"/other-cluster/"+namespace+"/"+serviceAccount))
}

func externalIDTrust(id string) string {
	statement := func(action string, condition map[string]any) map[string]any {
		st := map[string]any{"Effect": "Allow", "Principal": map[string]string{"AWS": "arn:aws:iam::" + clusterAccount + ":root"}, "Action": action}
		if condition != nil {
			st["Condition"] = condition
		}
		return st
	}
	return compactJSON(map[string]any{"Version": "2012-10-17", "Statement": []any{
		statement("sts:AssumeRole", map[string]any{
			"StringEquals": map[string]string{"sts:ExternalId": id},
			"ArnEquals":    map[string]string{"aws:PrincipalArn": roleARN},
		}),
		statement("sts:TagSession", nil),
	}})
}

func (s *story) wrongAccount(ctx context.Context, api *eks.Client) {
	s.step("an association whose Pod Identity role is in another account", "InvalidParameterException", func(step *Step) (string, error) {
		in := s.association()
		in.ServiceAccount, in.RoleArn, in.TargetRoleArn = aws.String("other-sa"), aws.String(targetARN), nil
		step.Command = "aws eks create-pod-identity-association ... --role-arn " + targetARN
		_, err := api.CreatePodIdentityAssociation(ctx, in)
		return explain(step, "made", err)
	})
}

// explain puts AWS's message into the detail, and returns the exception's name.
func explain(step *Step, got string, err error) (string, error) {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		step.Detail = append(step.Detail, e.ErrorMessage())
		return e.ErrorCode(), nil
	}
	return got, err
}

func errorText(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode() + ": " + e.ErrorMessage()
	}
	return err.Error()
}

// podRun runs programs inside the pod.
type podRun struct {
	story     *story
	tokenFile string
	token     string
}

// newToken gives the pod a token of a day that begins at notBefore.
func (p *podRun) newToken(notBefore time.Time) error {
	token, err := p.story.info.Issuers[cluster].Mint(issuer.Request{
		Namespace: namespace, ServiceAccount: serviceAccount, PodName: pod, NodeName: "node-1", NotBefore: notBefore,
	})
	if err != nil {
		return err
	}
	p.token = token
	return os.WriteFile(p.tokenFile, []byte(token), 0o600)
}

// run runs the pod's program, with the environment that the webhook gives a pod.
func (p *podRun) run(ctx context.Context, what string) (string, error) {
	command := append(append([]string{}, p.story.config.Pod...), what)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + p.story.info.AgentURL,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + p.tokenFile,
		"AWS_REGION=" + p.story.info.Cluster.Region,
		"AWS_ENDPOINT_URL=" + p.story.info.URL,
	}
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("the pod's program: %s", strings.TrimSpace(string(e.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
