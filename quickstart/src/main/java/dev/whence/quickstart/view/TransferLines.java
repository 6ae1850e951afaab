package dev.whence.quickstart.view;

import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferGate;
import dev.whence.schemas.avro.TransferLoss;
import dev.whence.schemas.avro.TransferPoint;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** What happens to a transfer, for people: one line each. */
public final class TransferLines {
  private static final String BLOCKS = "▁▂▃▄▅▆▇█";
  private static final String DIGITS = "0123456789";
  private static final int SHOWN_DIGEST = 12;

  private final Terminal terminal;

  public TransferLines(Terminal terminal) {
    this.terminal = terminal;
  }

  /** A line of the story. */
  public String line(String text) {
    String label =
        terminal.ansi() ? Style.LABEL.begin() + "transfer" + Style.LABEL.end() : "transfer";
    return label + "         " + DisplayText.clean(text);
  }

  /** The models are on disk, merged. */
  public String merged(TransferEvent event) {
    return line(
        String.format(
            Locale.ROOT,
            "merged: %s + (%s - %s), %.1f MB read and written",
            name(event.getTarget()),
            name(event.getFineTuned()),
            name(event.getBase()),
            event.getBytesTotal() / 1e6));
  }

  /** What the gates measured. */
  public String gated(TransferEvent event) {
    long passed = event.getGates().stream().filter(TransferGate::getPassed).count();
    return line(
        String.format(
            Locale.ROOT,
            "gated: %d of %d gates passed; nats per token on the task %s; in general %s; barrier"
                + " %.2f and %.2f",
            passed,
            event.getGates().size(),
            losses(event, true),
            losses(event, false),
            event.getBarrierTask(),
            event.getBarrierGeneral()));
  }

  private static String losses(TransferEvent event, boolean task) {
    return event.getLosses().stream()
        .map(
            loss ->
                String.format(
                    Locale.ROOT,
                    "%.2f (%s)",
                    task ? loss.getTask() : loss.getGeneral(),
                    of(event, loss)))
        .collect(Collectors.joining(", "));
  }

  private static String of(TransferEvent event, TransferLoss loss) {
    return switch (loss.getModel()) {
      case "base" -> name(event.getBase());
      case "fine-tuned" -> name(event.getFineTuned());
      case "target" -> name(event.getTarget());
      default -> "transferred";
    };
  }

  /** The model is released. */
  public String published(TransferEvent event) {
    return line(
        "published: "
            + event.getModelId()
            + ", digest "
            + digest(event.getDigest())
            + ", for "
            + event.getRoles().stream()
                .map(role -> role.name().toLowerCase(Locale.ROOT))
                .collect(Collectors.joining(", ")));
  }

  /** An answer was scored by the released model. */
  public String scored(int number, String digest) {
    return line("answer #" + number + " is the first that " + digest(digest) + " scored");
  }

  /** It is not released; with the losses on the way from F to M as a curve. */
  public String rejected(TransferEvent event) {
    List<Double> curve = event.getConnectivity().stream().map(TransferPoint::getTask).toList();
    String gates =
        event.getGates().stream()
            .filter(gate -> !gate.getPassed())
            .map(TransferGate::getName)
            .collect(Collectors.joining(", "));
    return line(
        "rejected: "
            + event.getModelId()
            + " (failed: "
            + gates
            + "); task loss on the way to it "
            + curve(curve)
            + String.format(
                Locale.ROOT,
                ", %.2f at most, the straight line is exceeded by %.2f",
                curve.stream().mapToDouble(x -> x).max().orElse(0),
                event.getBarrierTask()));
  }

  /** It could not be carried out. */
  public String failed(TransferEvent event) {
    return line("failed: " + event.getModelId() + ": " + event.getReason());
  }

  /** Values from 0 on as a line of blocks, the largest one highest. */
  String curve(List<Double> values) {
    String marks = terminal.glyph(BLOCKS, DIGITS);
    double largest = values.stream().mapToDouble(x -> x).max().orElse(0);
    StringBuilder curve = new StringBuilder();
    for (double value : values) {
      int level = largest <= 0 ? 0 : (int) Math.round(value / largest * (marks.length() - 1));
      curve.append(marks.charAt(Math.max(0, Math.min(marks.length() - 1, level))));
    }
    return curve.toString();
  }

  private static String digest(String hex) {
    return hex.substring(0, Math.min(SHOWN_DIGEST, hex.length()));
  }

  private static String name(
      dev.whence.schemas.avro.@org.jspecify.annotations.Nullable TransferModel model) {
    return model == null ? "?" : model.getModelId();
  }
}
