package dev.whence.transfer.gate;

import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;

/** Transfers of models of a few numbers, measured by the judge that a test brings. */
abstract class TinyTransfer {
  static final String WEIGHT = "model.layers.0.a";

  @TempDir Path directory;

  /** A model is one number x; its loss is known in closed form. */
  Path model(String name, float... x) throws IOException {
    return new ModelFolder().add(ModelFolder.f32(WEIGHT, x)).write(directory.resolve(name));
  }

  GateReport measure(Judge judge, TransferRequest request) {
    return measure(judge, request, directory.resolve("merged"));
  }

  GateReport measure(Judge judge, TransferRequest request, Path merged) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(plan, merged, MergeOptions.defaults(), MergeProgress.NONE);
    }
    return gates(judge).measure(request, merged, directory.resolve("scratch"));
  }

  Gates gates(Judge judge) {
    GateOptions options = GateOptions.of(directory.resolve("task"), directory.resolve("general"));
    return new Gates(judge, options, MergeOptions.defaults(), what -> {});
  }

  static GateReport.Gate gate(GateReport report, String name) {
    return report.gates().stream()
        .filter(gate -> gate.name().equals(name))
        .findFirst()
        .orElseThrow();
  }
}
