package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/kubeconfig"
)

// auditing is what the flags of podid audit say.
type auditing struct {
	target
	filter       audit.Filter
	since, until string
	limit        int
	keySecret    string
	server       string
	output       string
}

// audited is what was found, for -o json.
type audited struct {
	Events []*audit.Event `json:"events"` // newest first
	More   bool           `json:"more"`   // there are more that match
	// Incomplete says what could not be asked, and why.
	Incomplete []string `json:"incomplete,omitempty"`
	// Since is the time from which on all that was asked has all events; nil: files
	// have what they have.
	Since *time.Time `json:"since,omitempty"`
}

func newAudit() *cobra.Command {
	a := new(auditing)
	cmd := &cobra.Command{
		Use:   "audit [FILE...]",
		Short: "Say who was given which credentials, and who changed what",
		Long: `Find audit events, newest first: in files, with those that were put aside beside them, or of a running
podid, which has the latest in memory. In a Kubernetes cluster all replicas of podid's server are asked,
as the user of your kubeconfig: by its token or, if it has none, by the podid access key that
--access-key-secret names. RBAC has to allow the verb list on auditevents.podid.dev, in the namespace that
-n names or else in the whole cluster.

--server asks one server at its address, through no port-forward: behind a Service, whichever replica
answers, which has its own decisions alone. Without a kubeconfig chosen by --context, --kubeconfig or the
name kubectl podid, a podid access key asks, made with --use eks: from AWS_ACCESS_KEY_ID or an AWS profile,
with AWS_CA_BUNDLE naming a file with the certificates of podid's authority.

The exit status is 2 if something could not be asked, so that events may be missing.`,
		Example: `  podid audit --role demo-target --since yesterday --until today   # who became that role yesterday
  podid audit -n shop --outcome refused --since 24h               # what was refused in a namespace
  podid audit --access-key-id ASIAEXAMPLE                         # whose a key is that CloudTrail shows
  podid audit --event UpdatePodIdentityAssociation -o wide        # who changed associations
  kubectl podid audit --account 444455556666 -o json              # of the cluster of your kubeconfig
  podid audit --server https://podid.podid-system.svc:8443         # of one server, with a podid access key
  podid audit --pod web-0 /var/log/podid/audit.jsonl              # in a file`,
		RunE: a.at(func(cmd *cobra.Command, where place, files []string) error { return a.run(cmd, where, files) }),
	}
	a.target.add(cmd)
	f := cmd.Flags()
	f.StringVar(&a.filter.Pod, "pod", "", "name or UID of a pod")
	f.StringVarP(&a.filter.Namespace, "namespace", "n", "", "namespace (default: all)")
	f.StringVarP(&a.filter.ServiceAccount, "service-account", "s", "", "service account")
	f.StringVar(&a.filter.Role, "role", "", "ARN or name of a role: of any hop, of an association, or passed to one")
	f.StringVar(&a.filter.Account, "account", "", "AWS account of such a role")
	f.StringVar(&a.filter.User, "user", "", "part of the caller's ARN, user name or node")
	f.StringVar(&a.filter.AccessKeyID, "access-key-id", "", "access key of the credentials given, or that signed the request")
	f.StringVar((*string)(&a.filter.Outcome), "outcome", "", "granted, refused, or admitted, which changes are that were about to be stored")
	f.StringVar(&a.filter.EventName, "event", "", "name of the event, such as AssumeRoleForPodIdentity or PassRole")
	f.StringVar(&a.filter.Text, "text", "", "any part of an event, in either case")
	f.StringVar(&a.since, "since", "", "not before: yesterday, 24h, 7d, 2026-11-01, 2026-11-01T14:30:00Z")
	f.StringVar(&a.until, "until", "", "before: in the same words")
	f.IntVar(&a.limit, "limit", 100, fmt.Sprintf("at most this many events; 1 to %d", audit.MaxPage))
	f.StringVar(&a.keySecret, "access-key-secret", "", "in a Kubernetes cluster: Secret of a podid access key that says who asks, NAMESPACE/NAME")
	f.StringVar(&a.server, "server", "", "ask the podid at this URL: https://HOST:PORT of a server's APIs, or http://127.0.0.1:PORT of podid dev")
	f.StringVar(&a.kube.AuthorityFile, "certificate-authority", "", "in a Kubernetes cluster: file with the certificates of podid's authority (default: as podid says)")
	outputFlag(cmd, &a.output, "json", "table", "wide")
	cmd.AddCommand(newAuditVerify())
	return cmd
}

func (a *auditing) run(cmd *cobra.Command, where place, files []string) (err error) {
	now := time.Now()
	for _, at := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", a.since, &a.filter.Since}, {"--until", a.until, &a.filter.Until}} {
		if at.text == "" {
			continue
		}
		if *at.to, err = audit.ParseTime(at.text, now); err != nil {
			return fmt.Errorf("%s: %w", at.flag, err)
		}
	}
	if o := a.filter.Outcome; o != "" && o != audit.Granted && o != audit.Refused && o != audit.Admitted {
		return fmt.Errorf("--outcome %q: want %s, %s or %s", o, audit.Granted, audit.Refused, audit.Admitted)
	}
	if a.limit < 1 || a.limit > audit.MaxPage {
		return fmt.Errorf("--limit %d: want 1 to %d", a.limit, audit.MaxPage)
	}
	found := &audited{}
	switch {
	case len(files) > 0 && a.server != "":
		err = errors.New("--server and files: ask the server, or look into files")
	case len(files) > 0:
		err = a.inFiles(found, files)
	case a.server != "":
		err = a.ofServer(cmd, where, found)
	case where == atDev:
		err = a.ofDev(cmd.Context(), found)
	case where == atCluster:
		err = a.ofCluster(cmd, found)
	default:
		err = fmt.Errorf("%w; or name files of audit events", errNowhere())
	}
	if err != nil {
		return err
	}
	return a.print(cmd, found)
}

func (a *auditing) inFiles(found *audited, paths []string) error {
	var all []string
	for _, path := range paths {
		files, err := audit.Files(path)
		if err != nil {
			return err
		}
		all = append(all, files...)
	}
	var err error
	found.Events, found.More, err = audit.Search(all, a.filter, a.limit)
	return err
}

func (a *auditing) ofDev(ctx context.Context, found *audited) error {
	dev, err := devenv.ClientFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	reply, err := dev.Audit(ctx, audit.Query{Filter: a.filter, Limit: a.limit})
	if err != nil {
		return err
	}
	a.add(found, reply)
	return nil
}

// ofCluster asks all replicas of podid's server: each has what it decided itself.
func (a *auditing) ofCluster(cmd *cobra.Command, found *audited) error {
	k, err := a.cluster(cmd)
	if err != nil {
		return err
	}
	keys, err := a.keys(cmd.Context(), k)
	if err != nil {
		return err
	}
	asked := 0
	var failures []error
	err = k.EachReplica(cmd.Context(), keys, func(ctx context.Context, r kubeconfig.Replica) error {
		var reply audit.Reply
		if r.Err == nil {
			reply, r.Err = audit.Ask(ctx, r.Client, r.Endpoint, audit.Query{Filter: a.filter, Limit: a.limit})
		}
		if r.Err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", r.Name, r.Err))
			found.Incomplete = append(found.Incomplete, fmt.Sprintf("%s could not be asked: %v", r.Name, r.Err))
			return nil
		}
		asked++
		a.add(found, reply)
		return nil
	})
	if err == nil && asked == 0 {
		err = errors.Join(failures...)
	}
	return err
}

// add adds what one process answered.
func (a *auditing) add(found *audited, reply audit.Reply) {
	found.More = found.More || reply.Older != "" || len(found.Events)+len(reply.Events) > a.limit
	found.Events = audit.Newest(append(found.Events, reply.Events...), a.limit)
	if found.Since == nil || reply.Since.After(*found.Since) {
		found.Since = &reply.Since
	}
}

func (a *auditing) print(cmd *cobra.Command, found *audited) error {
	w := cmd.OutOrStdout()
	format := a.output
	if format != "json" {
		format = ""
	}
	if found.Events == nil {
		found.Events = []*audit.Event{}
	}
	if err := write(w, format, found, func() error { return printEvents(w, found.Events, a.output == "wide") }); err != nil {
		return err
	}
	talk := cmd.ErrOrStderr()
	if len(found.Events) == 0 && format == "" {
		fmt.Fprintln(talk, "no events match")
	}
	if found.More {
		fmt.Fprintf(talk, "there are more: raise --limit, or narrow the search\n")
	}
	if since := found.Since; since != nil && !found.More && a.filter.Since.Before(*since) && (a.since != "" || len(found.Events) == 0) {
		fmt.Fprintf(talk, "a running podid remembers events since %s alone: earlier ones are where it keeps them\n", since.Local().Format(time.RFC3339))
	}
	for _, what := range found.Incomplete {
		fmt.Fprintf(talk, "events may be missing: %s\n", what)
	}
	if len(found.Incomplete) > 0 {
		return exitStatus(2)
	}
	return nil
}

// printEvents prints a table for people.
func printEvents(w io.Writer, events []*audit.Event, wide bool) error {
	if len(events) == 0 {
		return nil
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "TIME\tEVENT\tOUTCOME\tWHO\tROLE"
	if wide {
		header += "\tASSOCIATION\tACCESS KEY\tSESSION\tCALLER\tSOURCE\tREQUEST"
	}
	fmt.Fprintln(out, header+"\tDETAIL")
	for _, e := range events {
		columns := []string{e.EventTime.Local().Format(time.RFC3339), e.EventName, string(e.Outcome), e.Who(), e.Role()}
		if wide {
			var last audit.Hop
			if len(e.Hops) > 0 {
				last = e.Hops[len(e.Hops)-1]
			}
			columns = append(columns, e.AssociationID(), cmp.Or(last.AccessKeyID, e.CallerAccessKeyID), last.SessionName,
				cmp.Or(e.CallerUser, e.CallerARN), e.SourceIPAddress, e.RequestID)
		}
		columns = append(columns, e.Detail())
		for i, text := range columns {
			columns[i] = cmp.Or(oneLine(text), "-")
		}
		fmt.Fprintln(out, strings.Join(columns, "\t"))
	}
	return out.Flush()
}

// oneLine leaves out what would break a table or move a terminal's cursor.
func oneLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line)
}
