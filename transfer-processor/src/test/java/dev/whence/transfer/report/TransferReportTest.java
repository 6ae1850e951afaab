package dev.whence.transfer.report;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GateReport;
import dev.whence.transfer.merge.Manifest;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TransferReportTest {
  private static final Manifest MANIFEST =
      new Manifest("plan", 1, "digest", Map.of(), Map.of(), Map.of(), Map.of());

  private static GateReport report() {
    return new GateReport(
        1,
        List.of(
            new GateReport.Gate("identity", true, "F bit for bit"),
            new GateReport.Gate("connectivity", false, "0.0625 < 0.5000")),
        List.of(new GateReport.ModelLoss("base", 2, 3)),
        List.of(new GateReport.Point(0, 1, 1), new GateReport.Point(1, 1.5, 1)),
        .0625,
        .5,
        List.of());
  }

  @Test
  void eachGateHasItsVerdictAndEachSetItsBarrierBesideTheLimit() {
    GateOptions limits = new GateOptions(Path.of("t"), Path.of("g"), .25, 9, .125, List.of());
    String passed = "<td><span class=\"yes\">passed</span></td>";
    String failed = "<td><span class=\"no\">failed</span></td>";
    assertThat(TransferReport.html(MANIFEST, report(), limits))
        .contains("<h1>Transfer rejected</h1>")
        .contains("<tr><th>identity</th>" + passed + "<td>F bit for bit</td></tr>")
        .contains("<tr><th>connectivity</th>" + failed + "<td>0.0625 &lt; 0.5000</td></tr>")
        .contains("<tr><th>task set</th><td>0.0625</td><td>0.2500</td>" + passed + "</tr>")
        .contains("<tr><th>general set</th><td>0.5000</td><td>0.2500</td>" + failed + "</tr>")
        .contains("at most 1 + 9.0000")
        .contains("at most 1 + 0.1250")
        .contains("<svg");
  }
}
