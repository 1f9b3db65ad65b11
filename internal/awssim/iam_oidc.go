package awssim

import (
	"net/url"
	"slices"
	"strings"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

func (x *iamCall) createProvider() (any, error) {
	var in struct {
		URL            string `query:"Url"`
		ClientIDList   []string
		ThumbprintList []string
	}
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return nil, err
	}
	tags, err := x.tags()
	if err != nil {
		return nil, err
	}
	made := &oidcProvider{
		AccountID: x.account, URL: strings.TrimPrefix(in.URL, "https://"), ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList,
		Tags: tags, Created: x.c.request.at.UTC(),
	}
	if err := x.may(made.ARN(), nil, requestTags(nil, tags)); err != nil {
		return nil, err
	}
	u, err := url.Parse(in.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(in.URL) > 255 {
		return nil, validationError("Invalid Open ID Connect Provider URL: it has to begin with https:// and to have no query.")
	}
	if len(in.ClientIDList) > maxClientIDs {
		return nil, limitExceeded("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
	}
	err = x.sim.state.update(func(t *tx) error {
		if _, taken := x.sim.state.provider(x.account, made.URL); taken {
			return alreadyExists("Provider with url %s already exists.", in.URL)
		}
		t.put(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &newProviderResult{ARN: made.ARN(), Tags: wireTags(tags)}, nil
}

// existingProvider finds a provider and judges the call on it.
func (x *iamCall) existingProvider() (*oidcProvider, error) {
	arn := x.form.Get("OpenIDConnectProviderArn")
	_, at, _ := strings.Cut(arn, ":oidc-provider/")
	p, ok := x.sim.state.provider(x.account, at)
	ok = ok && p.ARN() == arn
	var tags []identity.Tag
	if ok {
		tags = p.Tags
	}
	if err := x.may(arn, tags, nil); err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchEntity("OpenIDConnect Provider not found for arn %.2048s", arn)
	}
	return p, nil
}

func (x *iamCall) changeProvider(change func(*oidcProvider) error) (any, error) {
	return nil, x.sim.state.update(func(t *tx) error {
		p, err := x.existingProvider()
		if err != nil {
			return err
		}
		c := *p
		c.ClientIDs = slices.Clone(p.ClientIDs)
		if err := change(&c); err != nil {
			return err
		}
		t.put(&c)
		return nil
	})
}

func (x *iamCall) getProvider() (any, error) {
	p, err := x.existingProvider()
	if err != nil {
		return nil, err
	}
	return &providerResult{
		URL: p.URL, ClientIDList: p.ClientIDs, ThumbprintList: p.Thumbprints, CreateDate: awswire.ISOTime(p.Created), Tags: wireTags(p.Tags),
	}, nil
}

func (x *iamCall) listProviders() (any, error) {
	if err := x.may("*", nil, nil); err != nil {
		return nil, err
	}
	out := &providersResult{}
	for _, p := range x.sim.state.providersOf(x.account) {
		out.List = append(out.List, wireProvider{p.ARN()})
	}
	return out, nil
}

func (x *iamCall) deleteProvider() (any, error) {
	return nil, x.sim.state.update(func(t *tx) error {
		p, err := x.existingProvider()
		if err == nil {
			t.delete(p)
		}
		return err
	})
}

func (x *iamCall) addClientID() (any, error) {
	return x.changeProvider(func(p *oidcProvider) error {
		id := x.form.Get("ClientID")
		switch {
		case id == "" || len(id) > 255:
			return validationError("1 validation error detected: Value at 'clientID' failed to satisfy constraint: Member must have length between 1 and 255")
		case slices.Contains(p.ClientIDs, id):
			return nil
		case len(p.ClientIDs) >= maxClientIDs:
			return limitExceeded("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
		}
		p.ClientIDs = append(p.ClientIDs, id)
		return nil
	})
}

func (x *iamCall) removeClientID() (any, error) {
	return x.changeProvider(func(p *oidcProvider) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == x.form.Get("ClientID") })
		return nil
	})
}

func (x *iamCall) updateThumbprint() (any, error) {
	return x.changeProvider(func(p *oidcProvider) error {
		var in struct{ ThumbprintList []string }
		if err := awswire.DecodeForm(x.form, &in); err != nil {
			return err
		}
		p.Thumbprints = in.ThumbprintList
		return nil
	})
}

func (x *iamCall) tagProvider() (any, error) {
	return x.changeProvider(func(p *oidcProvider) error {
		tags, err := x.tags()
		if err == nil {
			err = x.may(p.ARN(), p.Tags, requestTags(nil, tags))
		}
		if err == nil {
			p.Tags, err = mergeTags(p.Tags, tags)
		}
		return err
	})
}

func (x *iamCall) untagProvider() (any, error) {
	return x.changeProvider(func(p *oidcProvider) error {
		keys, err := x.tagKeys()
		p.Tags = withoutTags(p.Tags, keys)
		return err
	})
}

func (x *iamCall) listProviderTags() (any, error) {
	p, err := x.existingProvider()
	if err != nil {
		return nil, err
	}
	tags, paging, err := page(x, p.Tags, func(t identity.Tag) string { return t.Key })
	return &tagsResult{Tags: wireTags(tags), paging: paging}, err
}
