// The benchmark workloads in ns-3 (see docs/performance.md): the peer that `python -m benchmarks run ... --peer ns3` measures.
// w=1 bridge-udp, w=2 overlay-udp, w=3 TCP bulk, w=4 many containers. Builds against ns-3.37 and ns-3.44 (build.sh).
#include "ns3/core-module.h"
#include "ns3/network-module.h"
#include "ns3/internet-module.h"
#include "ns3/csma-module.h"
#include "ns3/point-to-point-module.h"
#include "ns3/bridge-module.h"
#include "ns3/applications-module.h"
#include "ns3/virtual-net-device-module.h"
#include <chrono>
#include <iostream>
#include <unordered_map>
#include <time.h>
#include <sys/resource.h>
using namespace ns3;

// ---- a VXLAN port: VirtualNetDevice + UDP socket on 4789 (ns-3 has no VXLAN in-tree) ----
class VxlanHeader : public Header {
 public:
  uint32_t vni = 100;
  static TypeId GetTypeId() { static TypeId t = TypeId("VxlanHdr").SetParent<Header>().AddConstructor<VxlanHeader>(); return t; }
  TypeId GetInstanceTypeId() const override { return GetTypeId(); }
  uint32_t GetSerializedSize() const override { return 8; }
  void Serialize(Buffer::Iterator i) const override { i.WriteHtonU32(0x08000000); i.WriteHtonU32(vni << 8); }
  uint32_t Deserialize(Buffer::Iterator i) override { i.ReadNtohU32(); vni = i.ReadNtohU32() >> 8; return 8; }
  void Print(std::ostream& os) const override { os << vni; }
};
struct MacHash { size_t operator()(const Mac48Address& m) const { uint8_t b[8] = {0}; m.CopyTo(b); uint64_t v; memcpy(&v, b, 8); return v * 0x9E3779B97F4A7C15ull; } };
class Vtep : public SimpleRefCount<Vtep> {
 public:
  Ptr<VirtualNetDevice> dev; Ptr<Socket> sock; std::vector<Ipv4Address> remotes;
  std::unordered_map<Mac48Address, Ipv4Address, MacHash> fdb;
  void Setup(Ptr<Node> n) {
    dev = CreateObject<VirtualNetDevice>();
    dev->SetAddress(Mac48Address::Allocate()); dev->SetSupportsSendFrom(true);
    n->AddDevice(dev);
    sock = Socket::CreateSocket(n, UdpSocketFactory::GetTypeId());
    sock->Bind(InetSocketAddress(Ipv4Address::GetAny(), 4789));
    sock->SetRecvCallback(MakeCallback(&Vtep::Rx, this));
    dev->SetSendCallback(MakeCallback(&Vtep::Tx, this));
  }
  bool Tx(Ptr<Packet> p, const Address& s, const Address& d, uint16_t proto) {
    Mac48Address dst = Mac48Address::ConvertFrom(d);
    EthernetHeader e(false); e.SetSource(Mac48Address::ConvertFrom(s)); e.SetDestination(dst); e.SetLengthType(proto);
    p->AddHeader(e); p->AddHeader(VxlanHeader());
    auto it = dst.IsGroup() ? fdb.end() : fdb.find(dst);
    if (it != fdb.end()) { sock->SendTo(p, 0, InetSocketAddress(it->second, 4789)); return true; }
    for (auto& r : remotes) sock->SendTo(p->Copy(), 0, InetSocketAddress(r, 4789));
    return true;
  }
  void Rx(Ptr<Socket> s) {
    Address from; Ptr<Packet> p;
    while ((p = s->RecvFrom(from))) {
      VxlanHeader v; EthernetHeader e(false);
      p->RemoveHeader(v); p->RemoveHeader(e);
      fdb[e.GetSource()] = InetSocketAddress::ConvertFrom(from).GetIpv4();
      dev->Receive(p, e.GetLengthType(), e.GetSource(), e.GetDestination(),
                   e.GetDestination().IsGroup() ? NetDevice::PACKET_BROADCAST : NetDevice::PACKET_OTHERHOST);
    }
  }
};
static uint64_t g_frames = 0, g_rx = 0;
static void CountTx(Ptr<const Packet>) { g_frames++; }
static void CountRx(Ptr<const Packet>, const Address&) { g_rx++; }
static double cpu() { timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double rss() { rusage r; getrusage(RUSAGE_SELF, &r); return r.ru_maxrss / 1024.0; }

int main(int argc, char** argv) {
  int w = 1; std::string cap = "none", mode = "bridge", out = "ns3-capture", tcp = "ns3::TcpNewReno", sched = "";
  uint32_t n = 200000, hosts = 100, nh = 20; bool csum = false, count = false; uint64_t bytes = 100000000; uint32_t buf = 4 << 20;
  CommandLine cmd; cmd.AddValue("w", "", w); cmd.AddValue("cap", "", cap); cmd.AddValue("mode", "", mode); cmd.AddValue("n", "", n);
  cmd.AddValue("csum", "", csum); cmd.AddValue("count", "", count); cmd.AddValue("hosts", "", hosts); cmd.AddValue("out", "", out);
  cmd.AddValue("tcp", "", tcp); cmd.AddValue("bytes", "", bytes); cmd.AddValue("sched", "", sched); cmd.AddValue("buf", "", buf); cmd.Parse(argc, argv);
  auto t0 = std::chrono::steady_clock::now();
  GlobalValue::Bind("ChecksumEnabled", BooleanValue(csum));
  if (sched != "") GlobalValue::Bind("SchedulerType", StringValue(sched));
  Config::SetDefault("ns3::ArpL3Protocol::RequestJitter", StringValue("ns3::ConstantRandomVariable[Constant=0]"));
  Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
  Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(buf));
  Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(buf));
  Config::SetDefault("ns3::TcpL4Protocol::SocketType", TypeIdValue(TypeId::LookupByName(tcp)));
  Config::SetDefault("ns3::CsmaNetDevice::TxQueue", StringValue("ns3::DropTailQueue<Packet>"));
  Config::SetDefault("ns3::DropTailQueue<Packet>::MaxSize", StringValue("10000p"));
  CsmaHelper csma; csma.SetChannelAttribute("DataRate", StringValue("1Gbps")); csma.SetChannelAttribute("Delay", StringValue("10us"));
  PointToPointHelper p2p; p2p.SetDeviceAttribute("DataRate", StringValue("1Gbps")); p2p.SetChannelAttribute("Delay", StringValue("10us"));
  InternetStackHelper inet; inet.SetIpv6StackInstall(false);
  Ipv4AddressHelper ip; BridgeHelper br; ApplicationContainer apps; std::vector<Ptr<Vtep>> vteps; double stop = 0;
  auto pair = [&](CsmaHelper& c, Ptr<Node> a, Ptr<Node> b) { return c.Install(NodeContainer(a, b)); };
  auto pcap = [&](Ptr<NetDevice> d, std::string f) {
    if (DynamicCast<CsmaNetDevice>(d)) csma.EnablePcap(out + f, d, true, true); else p2p.EnablePcap(out + f, d, true, true); };
  auto flow = [&](Ptr<Node> s, Ipv4Address d, uint32_t cnt, double iv, uint32_t sz, double st) {
    UdpClientHelper c(d, 9); c.SetAttribute("MaxPackets", UintegerValue(cnt)); c.SetAttribute("Interval", TimeValue(Seconds(iv)));
    c.SetAttribute("PacketSize", UintegerValue(sz)); auto a = c.Install(s); a.Start(Seconds(st)); };
  Ptr<UdpServer> server; Ptr<PacketSink> sink; uint64_t hopsPer = 3;
  if (w == 1 || w == 3) {
    NodeContainer h; h.Create(3); Ipv4Address dst; Ptr<NetDevice> d2;   // h0 - node2(bridge/router) - h1
    if (mode == "bridge") {
      auto l1 = pair(csma, h.Get(0), h.Get(2));
      if (w == 3) csma.SetChannelAttribute("Delay", StringValue("50us"));
      auto l2 = pair(csma, h.Get(1), h.Get(2));
      br.Install(h.Get(2), NetDeviceContainer(l1.Get(1), l2.Get(1)));
      inet.Install(h.Get(0)); inet.Install(h.Get(1)); ip.SetBase("10.0.0.0", "255.255.255.0");
      auto i = ip.Assign(NetDeviceContainer(l1.Get(0), l2.Get(0))); dst = i.GetAddress(1); d2 = l2.Get(0);
      if (cap == "all") { pcap(l1.Get(0), "-h0.pcap"); pcap(l1.Get(1), "-b0.pcap"); pcap(l2.Get(1), "-b1.pcap"); }
    } else {
      inet.Install(h); auto l1 = p2p.Install(h.Get(0), h.Get(2));
      if (w == 3) p2p.SetChannelAttribute("Delay", StringValue("50us"));
      auto l2 = p2p.Install(h.Get(2), h.Get(1));
      ip.SetBase("10.0.0.0", "255.255.255.0"); ip.Assign(l1); ip.SetBase("10.0.1.0", "255.255.255.0"); auto i = ip.Assign(l2);
      dst = i.GetAddress(1); d2 = l2.Get(1); Ipv4GlobalRoutingHelper::PopulateRoutingTables();
      if (cap == "all") { pcap(l1.Get(0), "-h0.pcap"); pcap(l1.Get(1), "-b0.pcap"); pcap(l2.Get(0), "-b1.pcap"); }
    }
    if (cap != "none") pcap(d2, "-rx.pcap");
    if (w == 1) {
      UdpServerHelper us(9); auto a = us.Install(h.Get(1)); a.Start(Seconds(0)); server = DynamicCast<UdpServer>(a.Get(0));
      flow(h.Get(0), dst, 1, 1, 1000, 0.001); flow(h.Get(0), dst, n, 20e-6, 1000, 1.0); stop = 1.0 + n * 20e-6 + 1;
    } else {
      PacketSinkHelper ps("ns3::TcpSocketFactory", InetSocketAddress(Ipv4Address::GetAny(), 9)); auto a = ps.Install(h.Get(1)); a.Start(Seconds(0));
      sink = DynamicCast<PacketSink>(a.Get(0));
      BulkSendHelper bs("ns3::TcpSocketFactory", InetSocketAddress(dst, 9)); bs.SetAttribute("MaxBytes", UintegerValue(bytes));
      bs.SetAttribute("SendSize", UintegerValue(65536)); auto b = bs.Install(h.Get(0)); b.Start(Seconds(1.0)); stop = 200;
    }
  } else if (w == 2) {
    NodeContainer h; h.Create(4); hopsPer = 7;              // c0 - host2 ==== host3 - c1
    auto l1 = pair(csma, h.Get(0), h.Get(2)); auto l2 = pair(csma, h.Get(1), h.Get(3)); inet.Install(h);
    p2p.SetChannelAttribute("Delay", StringValue("50us")); auto u = p2p.Install(h.Get(2), h.Get(3));
    ip.SetBase("192.168.0.0", "255.255.255.0"); auto ui = ip.Assign(u);
    ip.SetBase("10.0.0.0", "255.255.255.0"); auto i = ip.Assign(NetDeviceContainer(l1.Get(0), l2.Get(0)));
    for (int k = 0; k < 2; k++) { auto v = Create<Vtep>(); v->Setup(h.Get(2 + k)); v->remotes.push_back(ui.GetAddress(1 - k)); vteps.push_back(v);
      br.Install(h.Get(2 + k), NetDeviceContainer(NetDeviceContainer(k ? l2.Get(1) : l1.Get(1)), NetDeviceContainer(v->dev))); }
    if (cap != "none") pcap(u.Get(0), "-ul.pcap");
    UdpServerHelper us(9); auto a = us.Install(h.Get(1)); a.Start(Seconds(0)); server = DynamicCast<UdpServer>(a.Get(0));
    flow(h.Get(0), i.GetAddress(1), 1, 1, 1000, 0.001); flow(h.Get(0), i.GetAddress(1), n, 20e-6, 1000, 1.0); stop = 1.0 + n * 20e-6 + 1;
  } else {
    NodeContainer H; H.Create(nh); NodeContainer C; C.Create(hosts); NodeContainer S; S.Create(1); inet.Install(H); inet.Install(C);
    std::vector<NetDeviceContainer> ports(nh); NetDeviceContainer cd, ud, sp;
    for (uint32_t k = 0; k < hosts; k++) { auto l = pair(csma, C.Get(k), H.Get(k % nh)); cd.Add(l.Get(0)); ports[k % nh].Add(l.Get(1)); }
    csma.SetChannelAttribute("Delay", StringValue("50us"));
    for (uint32_t k = 0; k < nh; k++) { auto l = pair(csma, H.Get(k), S.Get(0)); ud.Add(l.Get(0)); sp.Add(l.Get(1)); }
    br.Install(S.Get(0), sp); ip.SetBase("192.168.0.0", "255.255.255.0"); auto ui = ip.Assign(ud);
    for (uint32_t k = 0; k < nh; k++) { auto v = Create<Vtep>(); v->Setup(H.Get(k)); for (uint32_t j = 0; j < nh; j++) if (j != k) v->remotes.push_back(ui.GetAddress(j));
      vteps.push_back(v); ports[k].Add(v->dev); br.Install(H.Get(k), ports[k]); }
    ip.SetBase("10.0.0.0", "255.255.0.0"); auto ci = ip.Assign(cd);
    UdpServerHelper us(9); auto a = us.Install(C); a.Start(Seconds(0));
    uint64_t x = 1; auto rnd = [&]() { x = (x * 1103515245ull + 12345ull) & 0x7fffffffull; return x >> 8; };
    for (uint32_t k = 0; k < hosts; k++) for (int f = 0; f < 5; f++) { uint32_t p; do { p = rnd() % hosts; } while (p == k);
      double st = 1.0 + (rnd() % 5000000) * 1e-6; flow(C.Get(k), ci.GetAddress(p), 10, 0.02, 100, st); }
    stop = 8;
    if (cap != "none") pcap(ud.Get(0), "-ul.pcap");
    apps = a;
  }
  if (count) { Config::ConnectWithoutContextFailSafe("/NodeList/*/DeviceList/*/$ns3::CsmaNetDevice/PhyTxEnd", MakeCallback(&CountTx));
    Config::ConnectWithoutContextFailSafe("/NodeList/*/DeviceList/*/$ns3::PointToPointNetDevice/PhyTxEnd", MakeCallback(&CountTx)); }
  auto t1 = std::chrono::steady_clock::now(); double c1 = cpu();
  Simulator::Stop(Seconds(stop)); Simulator::Run();
  double c2 = cpu(); auto t2 = std::chrono::steady_clock::now(); uint64_t ev = Simulator::GetEventCount();
  uint64_t rx = server ? server->GetReceived() : 0; if (w == 4) for (uint32_t k = 0; k < apps.GetN(); k++) rx += DynamicCast<UdpServer>(apps.Get(k))->GetReceived();
  if (sink) rx = sink->GetTotalRx();
  double setup = std::chrono::duration<double>(t1 - t0).count(), run = std::chrono::duration<double>(t2 - t1).count();
  std::cout << "{\"sys\":\"ns3\",\"w\":" << w << ",\"mode\":\"" << mode << "\",\"cap\":\"" << cap << "\",\"csum\":" << csum << ",\"hosts\":" << (w == 4 ? hosts : 0)
            << ",\"setup_s\":" << setup << ",\"run_s\":" << run << ",\"run_cpu_s\":" << c2 - c1 << ",\"rx\":" << rx << ",\"events\":" << ev << ",\"ev_per_s\":" << ev / run
            << ",\"linkframes\":" << g_frames << ",\"hops_per_s\":" << (server ? rx * hopsPer / run : 0) << ",\"rss_mb\":" << rss() << "}" << std::endl;
  Simulator::Destroy();
  return 0;
}
