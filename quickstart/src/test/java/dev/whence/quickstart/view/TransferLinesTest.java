package dev.whence.quickstart.view;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferGate;
import dev.whence.schemas.avro.TransferLoss;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.schemas.avro.TransferPoint;
import dev.whence.schemas.avro.TransferState;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.api.Test;

class TransferLinesTest {
  private static Terminal terminal(boolean ansi, boolean unicode) {
    return new Terminal(new PrintStream(OutputStream.nullOutputStream()), ansi, unicode, () -> 80);
  }

  private static TransferModel model(String name) {
    return new TransferModel(name, "", "");
  }

  private static TransferEvent event(TransferState state) {
    return TransferEvent.newBuilder()
        .setTransferId("t")
        .setState(state)
        .setModelId("m")
        .setBase(model("b"))
        .setFineTuned(model("f"))
        .setTarget(model("t\u001b[2J"))
        .setGates(
            List.of(
                new TransferGate("identity", true, "same"),
                new TransferGate("connectivity", false, "hill")))
        .setLosses(
            List.of(
                new TransferLoss("base", 2., 3.),
                new TransferLoss("fine-tuned", .5d, 3.5d),
                new TransferLoss("target", 1.5d, 2.),
                new TransferLoss("transferred", 1.25d, 2.25d)))
        .setConnectivity(
            List.of(
                new TransferPoint(0., 0., 1.),
                new TransferPoint(.5d, 7., 1.),
                new TransferPoint(1., 2., 1.)))
        .setBarrierTask(6)
        .setBarrierGeneral(0)
        .setBytesTotal(2_500_000)
        .build();
  }

  @Test
  void everyMeasuredValueHasItsModelBesideIt() {
    TransferLines lines = new TransferLines(terminal(false, true));
    assertThat(lines.gated(event(TransferState.GATED)))
        .startsWith("transfer         gated: 1 of 2 gates passed")
        .contains("2.00 (b), 0.50 (f), 1.50 (t")
        .contains("1.25 (transferred)")
        .contains("in general 3.00 (b), 3.50 (f)")
        .contains("barrier 6.00 and 0.00")
        .doesNotContain("\u001b");
    assertThat(lines.merged(event(TransferState.PROGRESS))).contains("(f - b), 2.5 MB");
  }

  @Test
  void aRejectedTransferShowsItsCurveInBlocksOrInDigits() {
    TransferEvent rejected = event(TransferState.REJECTED);
    // 0, 7 and 2 of 7: the lowest, the highest, and level 2 of 7 or 3 of 9.
    assertThat(new TransferLines(terminal(false, true)).rejected(rejected))
        .contains("rejected: m (failed: connectivity)")
        .contains(" ▁█▃, 7.00 at most, the straight line is exceeded by 6.00");
    assertThat(new TransferLines(terminal(false, false)).rejected(rejected)).contains(" 093, ");
    assertThat(new TransferLines(terminal(true, true)).rejected(rejected))
        .startsWith(Style.LABEL.begin() + "transfer" + Style.LABEL.end());
  }

  @Test
  void aDigestIsShortened() {
    assertThat(new TransferLines(terminal(false, true)).scored(7, "0123456789abcdef"))
        .isEqualTo("transfer         answer #7 is the first that 0123456789ab scored");
  }
}
