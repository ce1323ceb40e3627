-- The schema, servicekit.migration and servicekit.function_in_force are made by the migrations runner itself.
grant usage on schema servicekit to :"app_role";
grant select on servicekit.migration, servicekit.function_in_force to :"app_role";
