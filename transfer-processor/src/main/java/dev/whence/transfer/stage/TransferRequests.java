package dev.whence.transfer.stage;

import dev.whence.files.Sha256;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.TransferRequest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * Requests on {@code whence.transfers}: made for whoever asks, read by the stage. A request's id is
 * the SHA-256 of what it asks for, so that asking twice is asking once.
 */
public final class TransferRequests {
  private static final int LONGEST_MODEL_ID = 100;

  private static final Pattern MODEL_ID =
      Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0," + (LONGEST_MODEL_ID - 1) + "}");

  /** What a modelId of a result must be. */
  static final String MODEL_ID_RULE =
      "must have 1 to "
          + LONGEST_MODEL_ID
          + " characters out of letters, digits, dot, dash and underscore, of which the first is a"
          + " letter or a digit";

  private static final Pattern HASH = Pattern.compile("[0-9a-f]{64}");
  private static final int DIGITS = 12;

  private TransferRequests() {}

  /** A model that takes part, of its release. */
  public static TransferModel model(ModelRelease release) {
    return TransferModel.newBuilder()
        .setModelId(release.getModelId())
        .setLocation(release.getLocation())
        .setDigest(release.getDigest())
        .build();
  }

  /**
   * A request, ready to be written under its transferId.
   *
   * @param modelId name of the result
   * @param roles of the result
   * @param requestedBy a person, a service or a subscription
   */
  public static TransferEvent request(
      TransferModel base,
      TransferModel fineTuned,
      TransferModel target,
      String modelId,
      List<ModelRole> roles,
      List<String> aliases,
      double lambda,
      List<Double> sweep,
      Map<String, String> policies,
      String requestedBy) {
    TransferEvent.Builder event =
        TransferEvent.newBuilder()
            .setTransferId("")
            .setState(TransferState.REQUESTED)
            .setBase(base)
            .setFineTuned(fineTuned)
            .setTarget(target)
            .setModelId(modelId)
            .setRoles(List.copyOf(roles))
            .setAliases(List.copyOf(aliases))
            .setLambda(lambda)
            .setSweep(List.copyOf(sweep))
            .setPolicies(Map.copyOf(policies))
            .setRequestedBy(requestedBy)
            .setOccurredAt(java.time.Instant.now());
    return event.setTransferId(id(event.build())).build();
  }

  /**
   * SHA-256 of what a request asks for, in hex. Each part has its length before it: parts are
   * somebody else's text, and two lists of them must not read alike. The order of roles and aliases
   * says nothing, that of a sweep is the order of its points.
   */
  static String id(TransferEvent request) {
    List<String> parts = new ArrayList<>();
    parts.add("whence-transfer-request 2");
    add(parts, "base", name(request.getBase()));
    add(parts, "fine-tuned", name(request.getFineTuned()));
    add(parts, "target", name(request.getTarget()));
    add(parts, "model", List.of(request.getModelId()));
    add(parts, "roles", request.getRoles().stream().map(Enum::name).distinct().sorted().toList());
    add(parts, "aliases", request.getAliases().stream().distinct().sorted().toList());
    add(parts, "lambda", List.of(Double.toHexString(request.getLambda())));
    add(parts, "sweep", request.getSweep().stream().map(Double::toHexString).toList());
    new TreeMap<>(request.getPolicies())
        .forEach((name, value) -> add(parts, "policy", List.of(name, value)));
    StringBuilder text = new StringBuilder();
    parts.forEach(part -> text.append(part.length()).append(':').append(part));
    return Sha256.of(text.toString());
  }

  /**
   * Twelve hex digits that name a transfer: the first of its id where that is such a hash, else of
   * the id's own, since an id is whatever key somebody wrote.
   */
  static String digits(String transferId) {
    return (HASH.matcher(transferId).matches() ? transferId : Sha256.of(transferId))
        .substring(0, DIGITS);
  }

  /** Whether a result may have a name. */
  static boolean isModelId(String name) {
    return MODEL_ID.matcher(name).matches();
  }

  /**
   * A name that a result may have, made of names that are any text: what no modelId has becomes a
   * dash, and is left out at the beginning. One that is too long is cut, and ends with digits that
   * tell it from others that begin alike.
   */
  static String modelIdOf(String name) {
    String plain = name.replaceAll("[^A-Za-z0-9._-]", "-").replaceFirst("^[._-]+", "");
    return plain.length() <= LONGEST_MODEL_ID
        ? plain
        : plain.substring(0, LONGEST_MODEL_ID - 1 - DIGITS)
            + "-"
            + Sha256.of(name).substring(0, DIGITS);
  }

  private static void add(List<String> parts, String field, List<String> values) {
    parts.add(field + " " + values.size());
    parts.addAll(values);
  }

  private static List<String> name(TransferModel model) {
    return List.of(
        model.getModelId(), model.getDigest().isEmpty() ? model.getLocation() : model.getDigest());
  }

  /** What is wrong with the factors of a request, each a sentence without its full stop. */
  static List<String> wrongFactors(double lambda, List<Double> sweep) {
    List<String> wrong = new ArrayList<>();
    if (!Double.isFinite(lambda)) {
      wrong.add("lambda is " + lambda + ", but must be a finite number");
    }
    if (sweep.size() > TransferRequest.MOST_LAMBDAS) {
      wrong.add(
          "sweep has "
              + sweep.size()
              + " values, but takes at most "
              + TransferRequest.MOST_LAMBDAS);
    }
    Set<Double> seen = new HashSet<>();
    Set<Double> named = new HashSet<>();
    for (double value : sweep) {
      if (!Double.isFinite(value)) {
        wrong.add("sweep has " + value + ", but takes finite numbers only");
      } else if (!seen.add(value + 0.) && named.add(value + 0.)) { // -0 + 0 = 0
        wrong.add("sweep has " + value + " more than once");
      }
    }
    return wrong;
  }

  /**
   * The merge that an event asks for.
   *
   * @param roots where models may lie
   * @throws TransferException with everything that is wrong with the request
   */
  static TransferRequest read(TransferEvent event, List<Path> roots) {
    List<String> problems = new ArrayList<>();
    if (!isModelId(event.getModelId())) {
      problems.add("modelId " + MODEL_ID_RULE);
    }
    Optional<TransferRequest.Input> base = input("base", event.getBase(), roots, problems);
    Optional<TransferRequest.Input> fineTuned =
        input("fineTuned", event.getFineTuned(), roots, problems);
    Optional<TransferRequest.Input> target = input("target", event.getTarget(), roots, problems);
    problems.addAll(wrongFactors(event.getLambda(), event.getSweep()));
    Policies policies = Policies.STRICT;
    try {
      policies = Policies.of(event.getPolicies());
    } catch (TransferException e) {
      problems.addAll(e.reasons());
    }
    if (base.isEmpty() || fineTuned.isEmpty() || target.isEmpty() || !problems.isEmpty()) {
      throw new TransferException(problems);
    }
    return new TransferRequest(
        base.get(), fineTuned.get(), target.get(), List.of(event.getLambda()), policies);
  }

  private static Optional<TransferRequest.Input> input(
      String field,
      @org.jspecify.annotations.Nullable TransferModel model,
      List<Path> roots,
      List<String> problems) {
    if (model == null) {
      problems.add(field + " is missing");
      return Optional.empty();
    }
    try {
      Path directory = ModelLocation.resolve(model.getLocation(), roots);
      String digest = model.getDigest();
      return Optional.of(
          new TransferRequest.Input(
              directory, digest.isEmpty() ? Optional.empty() : Optional.of(digest)));
    } catch (EnvironmentException e) {
      throw new TransferException(field + ": " + e.getMessage(), e); // nobody knows what is there
    } catch (ModelLoadException e) {
      problems.add(field + ": " + e.getMessage());
      return Optional.empty();
    }
  }
}
