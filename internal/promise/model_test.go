package promise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestModel has replicas start, restart, stop and be cut off, at random, in a
// cluster whose calls are slow, lost and late. Associations are made all the time,
// and the moment one is acknowledged every replica that runs is asked for it. None
// may say from memory that it is not there.
func TestModel(t *testing.T) {
	const seeds = 16
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newModel(t, seed).run(15 * time.Minute) })
		})
	}
}

// The model's settling time, and how long a creation may take: from its beginning
// until it is stored. One that a replica does not answer in time fails.
const (
	modelSettle   = 14 * time.Second
	modelCreation = 12 * time.Second
	modelWebhook  = 10 * time.Second
)

type model struct {
	t *testing.T

	mu       sync.Mutex
	random   *rand.Rand
	pods     []*modelPod
	made     int      // pods
	log      []string // keys, as they were stored; the version is the length
	created  int
	misses   atomic.Int64
	answered struct{ memory, live, acknowledged atomic.Int64 }
	running  sync.WaitGroup
}

// modelPod is a pod of the server, its process and that one's informer.
type modelPod struct {
	id      string
	listed  bool
	cutOff  bool // what it asks others does not arrive
	process *modelProcess
}

type modelProcess struct {
	replica *Replica
	end     context.CancelFunc
	ended   bool
	seen    int // how much of the log is in memory
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, random: rand.New(rand.NewPCG(seed, 1))}
}

func (m *model) chance(p float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.random.Float64() < p
}

// upTo is a random time.
func (m *model) upTo(d time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Duration(m.random.Int64N(int64(d) + 1))
}

// lag is how long a message takes.
func (m *model) lag() time.Duration {
	if m.chance(.03) {
		return m.upTo(held)
	}
	return m.upTo(5 * time.Millisecond)
}

func (m *model) run(d time.Duration) {
	ctx, cancel := context.WithCancel(m.t.Context())
	for range 2 + m.upTo(1) {
		m.addPod(ctx)
	}
	for _, job := range []struct {
		every time.Duration
		do    func(context.Context)
	}{
		{400 * time.Millisecond, m.create}, {time.Second, m.askForNothing},
		{time.Minute, m.restart}, {time.Minute, m.replace}, {10 * time.Second, m.cut},
	} {
		m.running.Go(func() {
			for sleep(ctx, m.upTo(2*job.every)) {
				m.running.Go(func() { job.do(ctx) })
			}
		})
	}
	time.Sleep(d)
	cancel()
	m.running.Wait()
	memory, live := m.answered.memory.Load(), m.answered.live.Load()
	if n := m.misses.Load(); n > 0 {
		m.t.Errorf("%d of %d associations were missed", n, m.answered.acknowledged.Load())
	}
	m.t.Logf("%d acknowledged; of who has none, %d answered from memory and %d not", m.answered.acknowledged.Load(), memory, live)
}

func (m *model) addPod(ctx context.Context) {
	m.mu.Lock()
	m.made++
	p := &modelPod{id: fmt.Sprint("pod-", m.made), listed: true}
	m.pods = append(m.pods, p)
	m.mu.Unlock()
	sleep(ctx, m.upTo(time.Second)/10)
	m.startProcess(ctx, p)
}

func (m *model) startProcess(ctx context.Context, p *modelPod) {
	m.mu.Lock()
	process := &modelProcess{seen: len(m.log)}
	m.mu.Unlock()
	replica, err := New(Config{
		Self: p.id, Settle: modelSettle,
		Members: m.members,
		Poll:    func(ctx context.Context, to Member, q Poll) (Answer, error) { return m.poll(ctx, p, to, q) },
		Version: m.version,
		Reached: func() uint64 { m.mu.Lock(); defer m.mu.Unlock(); return uint64(process.seen) },
	})
	if err != nil {
		m.t.Error(err)
		return
	}
	ctx, process.end = context.WithCancel(ctx)
	process.replica = replica
	m.running.Go(func() { _ = replica.Run(ctx) })
	m.running.Go(func() { m.inform(ctx, process) })
	m.mu.Lock()
	defer m.mu.Unlock()
	p.process = process
}

// inform brings what is stored into the memory of a process, sometimes late.
func (m *model) inform(ctx context.Context, p *modelProcess) {
	for sleep(ctx, m.upTo(200*time.Millisecond)) {
		m.mu.Lock()
		stored := len(m.log)
		m.mu.Unlock()
		if m.chance(.005) {
			sleep(ctx, m.upTo(2*modelSettle))
		}
		m.mu.Lock()
		p.seen = stored
		m.mu.Unlock()
	}
}

var errModel = errors.New("lost")

// members is what the API server lists: as of some moment within the call.
func (m *model) members(ctx context.Context) (list []Member, err error) {
	if m.chance(.005) {
		sleep(ctx, m.upTo(6*time.Second))
		return nil, errModel
	}
	sleep(ctx, m.lag())
	m.mu.Lock()
	for _, p := range m.pods {
		if p.listed {
			list = append(list, Member{ID: p.id, Address: p.id})
		}
	}
	m.mu.Unlock()
	sleep(ctx, m.lag())
	return list, ctx.Err()
}

func (m *model) version(ctx context.Context) (uint64, error) {
	sleep(ctx, m.lag())
	m.mu.Lock()
	version := len(m.log)
	m.mu.Unlock()
	sleep(ctx, m.lag())
	return uint64(version), ctx.Err()
}

// poll goes on after the one who asked has given up, and may reach somebody else.
func (m *model) poll(ctx context.Context, from *modelPod, to Member, q Poll) (Answer, error) {
	answers := make(chan Answer, 1)
	m.running.Go(func() {
		lag := m.lag()
		if m.chance(.01) {
			lag = m.upTo(10 * time.Second)
		}
		time.Sleep(lag)
		target := m.at(to.Address)
		if m.chance(.005) {
			target = m.any()
		}
		if target == nil || m.isCutOff(from) || m.chance(.01) {
			return
		}
		a, err := target.replica.Answer(context.WithoutCancel(ctx), q)
		m.mu.Lock()
		lost := target.ended || from.cutOff
		m.mu.Unlock()
		if err != nil || lost {
			return
		}
		time.Sleep(m.lag())
		answers <- a
	})
	select {
	case <-ctx.Done():
		return Answer{}, errModel
	case a := <-answers:
		return a, nil
	}
}

func (m *model) at(id string) *modelProcess {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pods {
		if p.id == id && p.process != nil && !p.process.ended {
			return p.process
		}
	}
	return nil
}

// all are the processes that run.
func (m *model) all() (running []*modelProcess) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pods {
		if p.process != nil && !p.process.ended {
			running = append(running, p.process)
		}
	}
	return running
}

func (m *model) any() *modelProcess {
	all := m.all()
	if len(all) == 0 {
		return nil
	}
	return all[m.upTo(time.Duration(len(all)-1))]
}

// somePod is a pod whose process runs, or nil.
func (m *model) somePod() *modelPod {
	i := m.upTo(time.Hour)
	m.mu.Lock()
	defer m.mu.Unlock()
	var some []*modelPod
	for _, p := range m.pods {
		if p.process != nil && !p.process.ended {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[int(i)%len(some)]
}

func (m *model) isCutOff(p *modelPod) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return p.cutOff
}

// create is the API server: it asks one replica, stores, acknowledges; and then
// pods come.
func (m *model) create(context.Context) {
	began := time.Now()
	m.mu.Lock()
	m.created++
	key := fmt.Sprint("shop/app-", m.created)
	m.mu.Unlock()
	judge := m.any()
	if judge == nil {
		return
	}
	time.Sleep(m.lag())
	ctx, cancel := context.WithTimeout(context.Background(), modelWebhook)
	defer cancel()
	if judge.replica.Announce(ctx, key) != nil {
		return
	}
	m.mu.Lock()
	lost := judge.ended
	m.mu.Unlock()
	if lost {
		return
	}
	storing := m.lag()
	if m.chance(.2) {
		storing = m.upTo(modelCreation)
	}
	if time.Sleep(storing); time.Since(began) > modelCreation {
		return
	}
	m.mu.Lock()
	m.log = append(m.log, key)
	stored := len(m.log)
	m.mu.Unlock()
	time.Sleep(m.lag() / 10)
	m.answered.acknowledged.Add(1)
	for range 8 {
		for _, p := range m.all() {
			current := p.replica.Current(key)
			m.mu.Lock()
			inMemory := p.seen >= stored
			m.mu.Unlock()
			if current && !inMemory {
				m.misses.Add(1)
				return
			}
		}
		time.Sleep(m.upTo(time.Second))
	}
}

// askForNothing asks for a service account that never has an association.
func (m *model) askForNothing(context.Context) {
	for _, p := range m.all() {
		if p.replica.Current("shop/none") {
			m.answered.memory.Add(1)
		} else {
			m.answered.live.Add(1)
		}
	}
}

func (m *model) kill(p *modelProcess) {
	m.mu.Lock()
	p.ended = true
	m.mu.Unlock()
	p.end()
}

// restart is that of a container: its pod stays.
func (m *model) restart(ctx context.Context) {
	if p := m.somePod(); p != nil && !m.chance(.5) {
		m.kill(p.process)
		sleep(ctx, m.upTo(time.Second)/10)
		m.startProcess(ctx, p)
	}
}

// replace adds a pod and takes another away: its process ends first or, where it
// was deleted by force, afterwards.
func (m *model) replace(ctx context.Context) {
	if len(m.all()) < 4 && !m.chance(.3) {
		m.addPod(ctx)
	}
	p := m.somePod()
	if p == nil || len(m.all()) < 2 {
		return
	}
	forced := m.chance(.5)
	if !forced {
		m.kill(p.process)
		sleep(ctx, m.upTo(2*time.Second))
	}
	m.mu.Lock()
	p.listed = false
	m.mu.Unlock()
	if forced {
		sleep(ctx, m.upTo(20*time.Second))
		m.kill(p.process)
	}
	m.mu.Lock()
	m.pods = slices.DeleteFunc(m.pods, func(o *modelPod) bool { return o == p })
	m.mu.Unlock()
}

// cut cuts off a replica for a while.
func (m *model) cut(ctx context.Context) {
	p := m.somePod()
	if p == nil {
		return
	}
	set := func(off bool) { m.mu.Lock(); p.cutOff = off; m.mu.Unlock() }
	set(true)
	sleep(ctx, m.upTo(8*time.Second))
	set(false)
}
