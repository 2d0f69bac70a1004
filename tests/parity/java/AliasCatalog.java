import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.delta.catalog.DeltaCatalog;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** Gives a plain Spark with Delta names of three parts: another name for its own catalog. */
public class AliasCatalog extends DeltaCatalog {
  private String alias;

  @Override
  public void initialize(String name, CaseInsensitiveStringMap options) {
    super.initialize(name, options);
    alias = name;
    SparkSession session = (SparkSession) org.apache.spark.sql.SparkSession.active();
    setDelegateCatalog(session.sessionState().catalogManager().v2SessionCatalog());
  }

  @Override
  public String name() {
    return alias == null ? super.name() : alias;
  }
}
